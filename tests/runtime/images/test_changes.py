"""Dockerfile instructions on `import -c` and `commit -c`."""

from __future__ import annotations

import pytest

from runtime.errors import ImageError
from runtime.images.changes import apply


def test_all_of_them() -> None:
    found = apply({"Env": ["A=0", "P=x"]}, [
        'CMD ["sh", "-c", "x y"]', "ENTRYPOINT run it", 'ENV A=1 B="two words"', "env C three four", "EXPOSE 80 53/udp", "LABEL a=b c='d e'", "ONBUILD RUN x",
        "STOPSIGNAL SIGINT", "USER 1:2", 'VOLUME ["/a b", "/c"]', "VOLUME /d", "WORKDIR /w",
    ])  # fmt: skip
    assert found == {
        "Env": ["A=1", "P=x", "B=two words", "C=three four"], "Cmd": ["sh", "-c", "x y"], "Entrypoint": ["/bin/sh", "-c", "run it"],
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Labels": {"a": "b", "c": "d e"}, "OnBuild": ["RUN x"], "StopSignal": "SIGINT", "User": "1:2",
        "Volumes": {"/a b": {}, "/c": {}, "/d": {}}, "WorkingDir": "/w",
    }  # fmt: skip


@pytest.mark.parametrize("change", ["RUN x", "COPY a b", "CMD", "EXPOSE http", "", "SHELL bash", "ENV 'x"])
def test_others_are_refused(change: str) -> None:
    with pytest.raises(ImageError, match="--change"):
        apply({}, [change])
