"""Docker's config.json: auths, helpers and stores, with a real helper program."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest

from runtime.errors import RegistryError
from runtime.images.registry import credentials
from runtime.images.registry.credentials import Credential

HELPER = """#!/bin/sh
read -r input
case "$1" in
get) if [ -f "$HOME/kept" ] && grep -q "$input" "$HOME/kept"; then cat "$HOME/kept"; else echo "credentials not found in native keychain"; exit 1; fi;;
store) echo "$input" > "$HOME/kept";;
erase) rm -f "$HOME/kept";;
esac
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / ".docker"))
    return tmp_path


def write(home: Path, config: object) -> None:
    (home / ".docker").mkdir(exist_ok=True)
    (home / ".docker" / "config.json").write_text(json.dumps(config))


def test_nothing_there(home: Path) -> None:
    assert credentials.find("r.example") is None
    assert credentials.erase("r.example") is False


def test_saved_where_docker_looks_and_nobody_else_reads(home: Path) -> None:
    write(home, {"credHelpers": {}, "psFormat": "keep me"})
    kept = credentials.save("r.example:5000", Credential(username="u", password="p:w"))
    found = json.loads((home / ".docker" / "config.json").read_text())
    assert found["auths"]["r.example:5000"]["auth"] == base64.b64encode(b"u:p:w").decode()
    assert found["psFormat"] == "keep me"
    assert os.stat(kept).st_mode & 0o777 == 0o600
    assert credentials.find("r.example:5000") == Credential(username="u", password="p:w")
    assert credentials.erase("r.example:5000") is True
    assert credentials.find("r.example:5000") is None


@pytest.mark.parametrize("key", ["https://index.docker.io/v1/", "index.docker.io", "docker.io"])
def test_docker_hub_by_all_its_names(home: Path, key: str) -> None:
    write(home, {"auths": {key: {"auth": base64.b64encode(b"me:secret").decode()}}})
    assert credentials.find("docker.io") == Credential(username="me", password="secret")


def test_identity_tokens(home: Path) -> None:
    write(home, {"auths": {"r.example": {"auth": base64.b64encode(b"00000000:").decode(), "identitytoken": "tok"}}})
    found = credentials.find("r.example")
    assert found is not None
    assert found.identity_token == "tok"


@pytest.mark.parametrize("config", [{"credsStore": "test"}, {"credHelpers": {"r.example": "test"}}])
def test_helpers(home: Path, monkeypatch: pytest.MonkeyPatch, config: object) -> None:
    program = home / "bin" / "docker-credential-test"
    program.parent.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    write(home, config)
    assert credentials.find("r.example") is None
    assert credentials.save("r.example", Credential(username="u", password="s")) == "docker-credential-test"
    assert credentials.find("r.example") == Credential(username="u", password="s")
    assert credentials.erase("r.example") is True
    assert not (home / "kept").exists()


def test_a_missing_helper_and_a_broken_file_say_so(home: Path) -> None:
    write(home, {"credsStore": "nowhere"})
    with pytest.raises(RegistryError, match="docker-credential-nowhere"):
        credentials.find("r.example")
    (home / ".docker" / "config.json").write_text("{")
    with pytest.raises(RegistryError, match=r"config\.json"):
        credentials.find("r.example")
    write(home, {"auths": {"r.example": {"auth": "%%%"}}})
    with pytest.raises(RegistryError, match="base64"):
        credentials.find("r.example")
