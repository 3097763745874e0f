"""Refusals: where they point, what they say, what they suggest, and that several come at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from compose.errors import LoadError, Problem
from compose.loader import LoadOptions, load


def problems(tmp_path: Path, **files: str) -> list[Problem]:
    for name, text in files.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    chosen = [f"{name}.yaml" for name in files if name in ("compose", "over")]
    with pytest.raises(LoadError) as raised:
        load(LoadOptions(files=tuple(chosen), working_directory=str(tmp_path), environment={}))
    return list(raised.value.problems)


def one(tmp_path: Path, text: str) -> Problem:
    found = problems(tmp_path, compose=text)
    assert len(found) == 1, found
    return found[0]


def spot(problem: Problem) -> tuple[str, int, int]:
    assert problem.position is not None, problem
    return Path(problem.position.file).name, problem.position.line, problem.position.column


def test_unknown_attribute_names_the_nearest(tmp_path: Path) -> None:
    problem = one(tmp_path, "services:\n  web:\n    imge: nginx\n    image: x\n")
    assert problem.path == "services.web.imge"
    assert spot(problem) == ("compose.yaml", 3, 5)
    assert problem.position is not None and problem.position.source == "    imge: nginx"
    assert "did you mean 'image'?" in str(problem.hint)


def test_every_independent_mistake_is_reported(tmp_path: Path) -> None:
    text = "services:\n  a:\n    image: 5\n    ports: ['abc:80']\n    foo: 1\n  b:\n    image: x\n    mem_limit: 10x\n    environment: {A: '${'}\n"
    paths = {p.path for p in problems(tmp_path, compose=text)}
    assert paths == {"services.a.image", "services.a.ports[0]", "services.a.foo", "services.b.mem_limit", "services.b.environment.A"}


def test_consistency_reports_all(tmp_path: Path) -> None:
    text = "services:\n  a:\n    image: x\n    networks: [nn]\n    volumes: ['vv:/x']\n    depends_on: [bb]\n  b: {}\n"
    messages = " ".join(str(p) for p in problems(tmp_path, compose=text))
    for said in ("undefined network nn", "undefined volume vv", 'undefined service "bb"', "neither an image nor a build"):
        assert said in messages


@pytest.mark.parametrize(
    ("text", "path", "line", "column", "said", "hint"),
    [
        ("services:\n  a:\n    image: x\n    image: y\n", "services.a", 4, 5, "twice", None),
        ("services:\n  1: {image: x}\n", "services", 2, 3, "non-string key", '"1"'),
        ("services: {a: {image: x, user: 1000}}\n", "services.a.user", 1, 32, "must be a string", '"1000"'),
        ("services: {a: {image: '${A?need}'}}\n", "services.a.image", 1, 23, "required variable A", "A"),
        ("services: {a: {image: '${A b}'}}\n", "services.a.image", 1, 23, "invalid interpolation", "$$"),
        ("services: {a: {image: x, depends_on: [b]}, bb: {image: y}}\n", "services.a", 1, 39, "undefined service", "bb"),
        ("services: {a: {image: x, read_only: maybe}}\n", "services.a.read_only", 1, 37, "invalid boolean", "true or false"),
        ("services: {a: {image: x, restart: [a}}\n", "", 1, 37, "not valid YAML", None),
        ("services: {a: {image: x, extends: q}}\n", "services.a.extends", 1, 35, "not found", None),
        ("services: {a: {image: x, stop_grace_period: 10}}\n", "services.a.stop_grace_period", 1, 45, "must be a string", "10s"),
        ("services: {a: {image: x, cgroup: hots}}\n", "services.a.cgroup", 1, 34, "host, private", "host"),
    ],
)
def test_messages_point_and_teach(tmp_path: Path, text: str, path: str, line: int, column: int, said: str, hint: str | None) -> None:
    problem = problems(tmp_path, compose=text)[0]
    assert problem.path == path
    assert spot(problem) == ("compose.yaml", line, column)
    assert said in problem.message
    if hint:
        assert hint in str(problem.hint)


def test_position_is_in_the_file_the_value_came_from(tmp_path: Path) -> None:
    base = "services:\n  base:\n    image: x\n    volumes:\n      - nope:/x\n"
    compose = "services:\n  a:\n    extends: {file: base.yaml, service: base}\n"
    found = problems(tmp_path, compose=compose, base=base)
    assert spot(found[0]) == ("base.yaml", 5, 9)


def test_position_after_a_merge_is_in_the_later_file(tmp_path: Path) -> None:
    compose = "services: {a: {image: x, networks: [n]}}\nnetworks: {n: }\n"
    over = "services:\n  a:\n    networks:\n      missing: {}\n"
    assert spot(problems(tmp_path, compose=compose, over=over)[0]) == ("over.yaml", 4, 7)


def test_position_in_an_included_file(tmp_path: Path) -> None:
    found = problems(tmp_path, compose="include: [part.yaml]\n", part="services:\n  a:\n    imag: x\n")
    assert spot(found[0]) == ("part.yaml", 3, 5)


def test_a_missing_file_names_where_it_was_asked_for(tmp_path: Path) -> None:
    problem = one(tmp_path, "services:\n  a:\n    extends: {file: nope.yaml, service: b}\n")
    assert "nope.yaml" in problem.message
    assert spot(problem) == ("compose.yaml", 3, 21)


def test_no_file_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(LoadError) as raised:
        load(LoadOptions(project_directory=str(tmp_path), environment={}))
    assert "no configuration file provided" in str(raised.value)
    assert "compose.yaml" in str(raised.value.problems[0].hint)


def test_cycles_name_their_steps(tmp_path: Path) -> None:
    text = "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n"
    assert "a -> b -> c -> a" in one(tmp_path, text).message


def test_a_disabled_dependency_names_its_profiles(tmp_path: Path) -> None:
    problem = one(tmp_path, "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: y, profiles: [dev]}\n")
    assert "disabled" in problem.message
    assert "dev" in str(problem.hint)
