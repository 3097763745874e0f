"""A pull with nothing to pull: answered with one question, and never when the registry has something else."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from runtime.images import ImageStore
from runtime.images.current import current
from runtime.images.push import push

from .conftest import Registry, make_image

pytestmark = pytest.mark.root
ROOT = Path(__file__).parents[3]
Stores = Callable[..., ImageStore]


def pulled(store: ImageStore, *words: str, environment: Mapping[str, str] | None = None) -> tuple[str, str, set[str]]:
    """stdout, stderr and the modules that `pycompose image pull` imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "compose", "image", "pull", *words],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONPATH": str(ROOT), "PYCOMPOSE_ROOT": store.paths.root, **(environment or {})},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    lines = done.stderr.splitlines()
    told = [line for line in lines if not line.startswith("import time:")]
    return done.stdout, "\n".join(told), {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


def published(store: ImageStore, host: str, seed: int) -> str:
    name = f"{host}/team/app:1"
    store.tag(make_image(store, f"local:{seed}", seed=seed), name)
    push(store, name)
    return name


def test_nothing_to_pull_is_answered_at_once(serve: Callable[..., Registry], store: ImageStore, new_store: Stores) -> None:
    host = serve().host
    name, other = published(store, host, 1), new_store()
    first = pulled(other, name)
    assert "urllib3" in first[2]
    again = pulled(other, name)
    assert {"click", "urllib3", "dataclasses", "http.client"} & again[2] == set()
    assert f"Status: Image is up to date for {name}" in again[1]
    assert again[0] == first[0] == f"{name}: {other.get(name).id}\n"
    assert pulled(other, "-q", name)[0] == f"{name}\n"


def test_what_is_newer_is_pulled(serve: Callable[..., Registry], store: ImageStore, new_store: Stores) -> None:
    host = serve().host
    name, other = published(store, host, 1), new_store()
    before = pulled(other, name)[0]
    published(store, host, 2)
    assert pulled(other, name)[0] != before
    assert other.get(name).id == store.get(name).id


def test_a_lost_layer_is_pulled_again(serve: Callable[..., Registry], store: ImageStore, new_store: Stores) -> None:
    name, other = published(store, serve().host, 1), new_store()
    pulled(other, name)
    other.content.remove(other.get(name).config.diff_ids[1])
    assert current(other.root, name) is None
    pulled(other, name)
    assert len(other.layers(other.get(name).id)) == 3


@pytest.mark.parametrize(
    "name", ["busybox", "docker.io/library/busybox:latest", "team/app:1", "localhost:1/x:1", "localhost:5000/team/app:1@sha256:" + "0" * 64]
)
def test_what_is_not_plain_is_unknown(loopback: None, store: ImageStore, name: str) -> None:
    assert current(store.root, name) is None


def test_settings_and_proxies_belong_to_the_pull_in_full(
    serve: Callable[..., Registry], store: ImageStore, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = published(store, serve().host, 1)
    assert current(store.root, name) is not None
    monkeypatch.setenv("PYCOMPOSE_REGISTRIES", str(scratch / "registries.toml"))
    (scratch / "registries.toml").write_text("")
    assert current(store.root, name) is None
