"""Cheap dataclasses behave as the standard ones do, and are cheap."""

from __future__ import annotations

import copy
import dataclasses
import pickle
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import FrozenInstanceError, field
from typing import Any, ClassVar

import pytest

from runtime import codec
from runtime.record import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """A record."""

    name: str
    count: int = 3
    labels: Mapping[str, str] = field(default_factory=dict)
    secret: str = field(default="", repr=False, compare=False)
    KIND: ClassVar[str] = "kind"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Theirs:
    """The same."""

    name: str
    count: int = 3
    labels: Mapping[str, str] = field(default_factory=dict)
    secret: str = field(default="", repr=False, compare=False)
    KIND: ClassVar[str] = "kind"


@dataclass(frozen=True, slots=True)
class Pair:
    """Positional."""

    left: int
    right: int = 0

    def __post_init__(self) -> None:
        if self.left < 0:
            raise ValueError("negative")


@dataclass(frozen=True, slots=True)
class Triple(Pair):
    """Inherits."""

    third: int = 7


@dataclass(slots=True)
class Open:
    """Not frozen: the standard decorator's."""

    value: int = 0


def test_it_looks_like_a_dataclass() -> None:
    ours, theirs = Ours(name="a"), Theirs(name="a")
    assert repr(ours) == repr(theirs).replace("Theirs", "Ours")
    assert [f.name for f in dataclasses.fields(ours)] == [f.name for f in dataclasses.fields(theirs)]
    assert dataclasses.is_dataclass(ours)
    assert dataclasses.asdict(ours) == dataclasses.asdict(theirs)
    assert dataclasses.replace(ours, count=5) == Ours(name="a", count=5)
    assert codec.loads(Ours, codec.dumps(ours)) == ours
    assert Ours.__slots__ == Theirs.__slots__
    assert Ours.KIND == "kind"


def test_equality_and_hash() -> None:
    assert Ours(name="a", secret="x") == Ours(name="a", secret="y")
    assert Ours(name="a") != Ours(name="b")
    assert Ours(name="a") != Theirs(name="a")
    assert len({Pair(1), Pair(1), Pair(1, 2)}) == 2
    assert Ours(name="a").labels is not Ours(name="a").labels


@pytest.mark.parametrize("wrong", [{}, {"nme": "a"}, {"name": "a", "more": 1}])
def test_wrong_arguments_are_refused(wrong: Any) -> None:
    with pytest.raises(TypeError):
        Ours(**wrong)
    with pytest.raises(TypeError):
        Ours("a")  # type: ignore[misc]


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        Ours(name="a").name = "b"  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        del Ours(name="a").name
    with pytest.raises(AttributeError):
        object.__setattr__(Ours(name="a"), "other", 1)


def test_positions_inheritance_and_checks() -> None:
    assert (Pair(1).right, Triple(1, 2).third, Triple(1, 2, 3)) == (0, 7, Triple(left=1, right=2, third=3))
    assert repr(Triple(1)) == "Triple(left=1, right=0, third=7)"
    with pytest.raises(ValueError, match="negative"):
        Triple(-1)
    match Triple(4, 5):
        case Triple(left, right, third):
            assert (left, right, third) == (4, 5, 7)
    match Ours(name="n"):
        case Ours(name=name):
            assert name == "n"


def test_copies() -> None:
    record = Ours(name="a", labels={"x": "y"})
    assert pickle.loads(pickle.dumps(record)) == copy.copy(record) == copy.deepcopy(record) == record


def test_others_go_to_the_standard_decorator() -> None:
    opened = Open()
    opened.value = 4
    assert opened == Open(4)


def test_a_definition_is_an_order_of_magnitude_cheaper() -> None:
    program = (
        "import dataclasses, sys, time\nfrom runtime.record import dataclass\n"
        "names = [f'f{i}' for i in range(8)]\n"
        "def make(decorator):\n"
        "    began = time.process_time()\n"
        "    for n in range(50):\n"
        "        cls = type(f'C{n}', (), {'__annotations__': dict.fromkeys(names, 'int'), **dict.fromkeys(names, 0)})\n"
        "        decorator(frozen=True, slots=True, kw_only=True)(cls)\n"
        "    return time.process_time() - began\n"
        "print(min(make(dataclasses.dataclass) for _ in range(3)) / min(make(dataclass) for _ in range(3)))\n"
    )
    ratio = float(subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout)
    assert ratio > 4
