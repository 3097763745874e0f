"""registries.toml: what it may say, and what is told when it says something else."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.errors import RegistryError
from runtime.images.registry import settings


def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> settings.Settings:
    path = tmp_path / "registries.toml"
    path.write_text(text)
    monkeypatch.setenv("PYCOMPOSE_REGISTRIES", str(path))
    return settings.load()


def test_everything_it_can_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = load(tmp_path, monkeypatch, """
        [registry."docker.io"]
        mirrors = ["https://mirror.example", "http://10.0.0.5:5000"]
        [registry."r.example:5000"]
        insecure = true
        ca = "/ca.pem"
        client_cert = "/c.pem"
        client_key = "/k.pem"
        [transfer]
        parallel = 5
        attempts = 2
        timeout = 1.5
        [limits]
        entries = 10
    """)  # fmt: skip
    assert found.of("docker.io").mirrors == ("https://mirror.example", "http://10.0.0.5:5000")
    assert found.of("r.example:5000") == settings.RegistrySettings(insecure=True, ca="/ca.pem", client_cert="/c.pem", client_key="/k.pem")
    assert (found.parallel, found.attempts, found.timeout, found.limits.entries) == (5, 2, 1.5, 10)
    assert found.of("other") == settings.RegistrySettings()


def test_no_file_is_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYCOMPOSE_REGISTRIES", str(tmp_path / "none"))
    assert settings.load() == settings.Settings()


def test_the_users_file_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYCOMPOSE_REGISTRIES", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "pycompose").mkdir()
    (tmp_path / "pycompose" / "registries.toml").write_text("[transfer]\nparallel = 9\n")
    assert settings.load().parallel == 9


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x", "registries.toml"), ("[other]\na = 1", "unknown section 'other'"), ("[transfer]\nparalel = 1", "unknown key 'paralel'"),
        ('[transfer]\nparallel = "3"', "wrong type"), ('[registry."a"]\ninsecure = "yes"', "wrong type"),
        ('[registry."a"]\nmirrors = ["a.example"]', "is not a URL"),
        ("[transfer]\nparallel = true", "wrong type"),
    ],
)  # fmt: skip
def test_mistakes_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, told: str) -> None:
    with pytest.raises(RegistryError, match=told):
        load(tmp_path, monkeypatch, text)
