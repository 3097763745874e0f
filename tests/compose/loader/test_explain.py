"""``config --explain``: what won, what it overrode, which variable came from where."""

from __future__ import annotations

from pathlib import Path

import pytest

from compose.errors import UsageError
from compose.loader import LoadOptions, load_tree
from compose.loader.explain import explain


@pytest.fixture
def told(tmp_path: Path):  # type: ignore[no-untyped-def]
    (tmp_path / "compose.yaml").write_text(
        "services:\n  web:\n    image: nginx\n    environment:\n      DB_HOST: localhost\n    labels: {a.b: '1'}\n    ports: ['80:80']\n    env_file: [more]\n"
    )
    (tmp_path / "over.yaml").write_text("services:\n  web:\n    environment:\n      DB_HOST: ${DB:-none}\n      KEEP: ${SHELL_SET}\n")
    (tmp_path / ".env").write_text("DB=db.example\n")
    (tmp_path / "more").write_text("EXTRA=1\n")
    loaded = load_tree(
        LoadOptions(files=("compose.yaml", "over.yaml"), working_directory=str(tmp_path), environment={"SHELL_SET": "yes"}, explain=True)
    )
    return lambda path: explain(loaded, path).replace(str(tmp_path), "")


def test_what_won_and_what_it_overrode(told) -> None:  # type: ignore[no-untyped-def]
    text = told("services.web.environment.DB_HOST")
    assert text.splitlines()[0] == "services.web.environment.DB_HOST: db.example"
    assert "set by /over.yaml:4:16" in text
    assert "variable DB is db.example from /.env" in text
    assert "overrides localhost" in text
    assert "from /compose.yaml:5:16" in text


def test_where_a_variable_came_from(told) -> None:  # type: ignore[no-untyped-def]
    assert 'variable SHELL_SET is "yes" from the environment of the process' in told("services.web.environment.KEEP")


def test_keys_with_dots_lists_and_derived_values(told) -> None:  # type: ignore[no-untyped-def]
    assert told("services.web.labels.a.b").startswith('services.web.labels.a.b: "1"')
    assert "target: 80" in told("services.web.ports[0]")
    assert "set by /compose.yaml:8:16" in told("services.web.environment.EXTRA")
    assert "Compose's rules" in told("networks.default.name")


@pytest.mark.parametrize(
    ("path", "hint"), [("services.web.prts", "ports"), ("service", "services"), ("services.web.ports[7]", None), ("name.x", None)]
)
def test_what_is_not_there(told, path: str, hint: str | None) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError) as raised:
        told(path)
    if hint:
        assert hint in str(raised.value.hint)
