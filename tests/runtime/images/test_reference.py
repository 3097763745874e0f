"""Image references: the grammar and Docker's defaults."""

from __future__ import annotations

import pytest

from runtime.errors import ImageError
from runtime.images.reference import parse

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
        ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
        ("user/app", "docker.io/user/app:latest", "user/app:latest"),
        ("library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
        ("registry.example/a/b_c/d--e:T.1-x", "registry.example/a/b_c/d--e:T.1-x", "registry.example/a/b_c/d--e:T.1-x"),
        ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
        (f"busybox@{DIGEST}", f"docker.io/library/busybox@{DIGEST}", f"busybox@{DIGEST}"),
        (f"r.example/x:1@{DIGEST}", f"r.example/x:1@{DIGEST}", f"r.example/x:1@{DIGEST}"),
    ],
)
def test_forms(text: str, canonical: str, familiar: str) -> None:
    reference = parse(text)
    assert (reference.canonical, reference.familiar) == (canonical, familiar)
    assert parse(reference.canonical) == reference
    assert parse(reference.familiar) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        "UPPER",
        "a//b",
        "a:b:c",
        "-a",
        "a/",
        "busybox:",
        "busybox@sha256:12",
        "a@b@c",
        "x" * 300,
        "ab" * 32,
        "a:" + "t" * 129,
        "a b",
        "../x",
    ],
)
def test_nonsense_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(ImageError) as raised:
        parse(text)
    assert "invalid reference" in raised.value.message


def test_upper_case_names_the_lower_case_spelling() -> None:
    with pytest.raises(ImageError, match="did you mean 'myapp'"):
        parse("MyApp")
