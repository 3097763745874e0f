"""Platforms, and the choice of one manifest out of an index."""

from __future__ import annotations

import pytest

from runtime.errors import ImageError
from runtime.images import platforms
from runtime.images.platforms import Platform


def described(*names: str) -> list[object]:
    found: list[object] = []
    for name in names:
        os_name, architecture, *variant = name.split("/")
        found.append(
            {"digest": name, "platform": {"os": os_name, "architecture": architecture, **({"variant": variant[0]} if variant else {})}}
        )
    return found


@pytest.mark.parametrize(
    ("wanted", "there", "chosen"),
    [
        ("linux/amd64", ("linux/arm64", "linux/amd64"), "linux/amd64"), ("linux/arm64", ("linux/arm64/v8", "linux/amd64"), "linux/arm64/v8"),
        ("linux/arm/v7", ("linux/arm/v5", "linux/arm/v6"), "linux/arm/v6"), ("linux/arm/v6", ("linux/arm/v7", "linux/arm/v6"), "linux/arm/v6"),
        ("linux/arm64/v8", ("linux/arm64",), "linux/arm64"), ("x86_64", ("linux/amd64",), "linux/amd64"),
    ],
)  # fmt: skip
def test_choice(wanted: str, there: tuple[str, ...], chosen: str) -> None:
    listed = described(*there)
    assert platforms.choose(listed, listed, platforms.parse(wanted))["digest"] == chosen


def test_what_is_there_is_named() -> None:
    listed = described("linux/s390x", "unknown/unknown", "windows/amd64")
    with pytest.raises(ImageError) as raised:
        platforms.choose(listed, listed, Platform(architecture="amd64"))
    assert "linux/s390x, windows/amd64" in (raised.value.hint or "")


@pytest.mark.parametrize("text", ["a/b/c/d", "linux//v7", "/"])
def test_nonsense(text: str) -> None:
    with pytest.raises(ImageError, match="not a platform"):
        platforms.parse(text)
