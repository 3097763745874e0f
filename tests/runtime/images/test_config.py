"""Image configurations: what a container inherits, and what is refused."""

from __future__ import annotations

import hashlib
import json

import pytest

from runtime.errors import ImageError
from runtime.images import config

DIFF = "sha256:" + "0" * 64


def test_every_field_arrives() -> None:
    raw = json.dumps({
        "architecture": "arm64", "os": "linux", "variant": "v8", "created": "2024-05-01T10:00:00.5Z",
        "config": {
            "User": "app", "ExposedPorts": {"80/tcp": {}}, "Env": ["A=1", "B=x=y"], "Entrypoint": ["/e"], "Cmd": ["c"],
            "Volumes": {"/data": {}}, "WorkingDir": "/w",
            "Labels": {"k": "v"}, "StopSignal": "SIGINT", "Shell": ["/bin/bash", "-c"], "OnBuild": ["RUN x"],
            "Healthcheck": {"Test": ["CMD", "true"], "Interval": 5_000_000_000, "Timeout": 0, "Retries": 3, "StartPeriod": 1_500_000_000},
        },
        "rootfs": {"type": "layers", "diff_ids": [DIFF]},
    }).encode()  # fmt: skip
    found = config.parse(raw)
    assert found.id == f"sha256:{hashlib.sha256(raw).hexdigest()}"
    assert (found.architecture, found.variant, found.user, found.working_dir, found.stop_signal) == ("arm64", "v8", "app", "/w", "SIGINT")
    assert (found.entrypoint, found.command, found.environment) == (("/e",), ("c",), ("A=1", "B=x=y"))
    assert (found.exposed_ports, found.volumes, found.labels, found.shell) == (("80/tcp",), ("/data",), {"k": "v"}, ("/bin/bash", "-c"))
    assert found.diff_ids == (DIFF,)
    assert found.healthcheck is not None
    assert (found.healthcheck.interval, found.healthcheck.timeout, found.healthcheck.retries, found.healthcheck.start_period) == (
        5.0,
        None,
        3,
        1.5,
    )
    assert config.on_build(raw) == ("RUN x",)
    assert config.created_ns(found.created) == 1714557600_500000000


def test_null_fields_are_absent() -> None:
    found = config.parse(
        b'{"config":{"Cmd":null,"Entrypoint":null,"Env":null,"Volumes":null,"Labels":null},"rootfs":{"type":"layers","diff_ids":null}}'
    )
    assert found.command is None
    assert found.entrypoint is None
    assert found.environment == ()


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"{", b'{"config":[]}', b'{"config":{"Env":"A=1"}}', b'{"config":{"Cmd":[1]}}', b'{"architecture":7}',
        b'{"rootfs":{"diff_ids":["sha256:../../etc"]}}', b'{"rootfs":{"diff_ids":["md5:00"]}}', b"[" * 100_000, b"\xff\xfe",
        b'{"config":{"Healthcheck":{"Test":["NONE"],"Interval":"5s"}}}',
    ],
)  # fmt: skip
def test_malformed_ones_are_refused(raw: bytes) -> None:
    with pytest.raises(ImageError):
        config.parse(raw)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0),
        ("nonsense", 0),
        ("1970-01-01T00:00:01Z", 10**9),
        ("1970-01-01T01:00:00+01:00", 0),
        ("1970-01-01T00:00:00.123456789Z", 0),
        ("1970-01-01T00:00:02.000000001Z", 2 * 10**9 + 1),
    ],
)
def test_times(text: str, expected: int) -> None:
    assert config.created_ns(text) == expected
