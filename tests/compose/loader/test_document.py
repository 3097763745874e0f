"""The YAML door: what it refuses early, and quickly."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from compose.errors import LoadError
from compose.loader import LoadOptions, load
from compose.loader.scalars import resolve
from compose.schema.tree import Timestamp


def refused(tmp_path: Path, text: str) -> str:
    (tmp_path / "compose.yaml").write_text(text)
    begin = time.monotonic()
    with pytest.raises(LoadError) as raised:
        load(LoadOptions(files=("compose.yaml",), working_directory=str(tmp_path), environment={}))
    assert time.monotonic() - begin < 10
    return str(raised.value)


def test_alias_bombs_are_stopped(tmp_path: Path) -> None:
    lines = ["x-0: &a0 [a, a, a, a, a, a, a, a, a, a]"]
    lines += [f"x-{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    assert "aliases expand" in refused(tmp_path, "\n".join(lines) + "\nservices: {}\n")


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{a: " * 50_000, "- " * 100_000, "a:\n" + "".join(" " * i + "- a:\n" for i in range(1, 3000))]
)
def test_deep_nesting_is_stopped(tmp_path: Path, text: str) -> None:
    refused(tmp_path, text)


def test_an_anchor_in_itself_is_refused(tmp_path: Path) -> None:
    assert "itself" in refused(tmp_path, "x-a: &a {b: *a}\nservices: {}\n")


def test_a_merge_of_itself_is_refused(tmp_path: Path) -> None:
    refused(tmp_path, "x-a: &a\n  <<: *a\nservices: {}\n")


def test_binary_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_bytes(b"\x00\xff\xfe\x80")
    with pytest.raises(LoadError, match="UTF-8"):
        load(LoadOptions(files=("compose.yaml",), working_directory=str(tmp_path), environment={}))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("010", 8),
        ("0o10", 8),
        ("0x1F", 31),
        ("0b11", 3),
        ("1_000", 1000),
        ("22:22", "22:22"),
        ("1.10", 1.1),
        ("08", 8.0),
        ("~", None),
        ("True", True),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("12345678901234567890", 12345678901234567890),
        ("2024-13-01", "2024-13-01"),
        ("1e999", "1e999"),
    ],
)
def test_scalars_are_those_of_yaml_1_2_with_old_octals(text: str, value: object) -> None:
    assert resolve(text) == value
    assert type(resolve(text)) is type(value)


def test_a_date_is_no_string() -> None:
    assert isinstance(resolve("2024-01-01"), Timestamp)
