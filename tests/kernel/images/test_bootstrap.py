"""Base images from packages: they run, they are small, and they are the same every time."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.errors import ImageError
from runtime.images import ImageStore
from runtime.images.bootstrap import bootstrap, busybox, suites
from runtime.images.reference import parse

pytestmark = pytest.mark.root
Stores = Callable[..., ImageStore]


def inside(root: str, *command: str) -> str:
    done = subprocess.run(
        ["chroot", root, *command], capture_output=True, text=True, check=True, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    )
    return done.stdout


def test_busybox(store: ImageStore, new_store: Stores) -> None:
    image = bootstrap(store, "busybox:latest")
    (root,) = store.layers(image.id)
    assert inside(root, "sh", "-c", "echo $((6 * 7)); id -un; ls -ld /tmp").splitlines()[:2] == ["42", "root"]
    assert os.stat(f"{root}/tmp").st_mode & 0o7777 == 0o1777
    assert "www-data:x:33" in Path(root, "etc/passwd").read_text()
    assert (image.config.command, image.references) == (("sh",), ("busybox:latest",))
    assert bootstrap(new_store(), "busybox").id == image.id
    assert store.verify() == ()


def test_a_dynamic_program_is_told_from_a_static_one() -> None:
    assert busybox.is_static("/bin/busybox")
    assert not busybox.is_static("/bin/sh")
    assert not busybox.is_static(__file__)


@pytest.mark.slow
@pytest.mark.timeout(900)  # two whole systems from packages, over the network: half a minute of computing each, and the mirror's pace
def test_debian_slim_is_the_official_images_twin_and_reproducible(store: ImageStore, new_store: Stores) -> None:
    image = bootstrap(store, "debian:bookworm-slim")
    (root,) = store.layers(image.id)
    assert 65e6 < image.size < 85e6, "the official image has about 75 MB"
    assert inside(root, "cat", "/etc/debian_version").startswith("12.")
    packages = set(inside(root, "dpkg-query", "-W", "-f", "${Package}\n").split())
    assert {"apt", "bash", "tzdata", "usr-is-merged"} <= packages
    assert not {"perl", "usrmerge", "systemd"} & packages
    assert inside(
        root, "sh", "-c", "ls -A /var/lib/apt/lists /var/cache/apt/archives /usr/share/man /tmp /run | grep -v : | sort -u | tr -d '\\n'"
    ) in ("", "lock", "partial")
    assert os.listdir(f"{root}/usr/share/doc/bash") == ["copyright"]
    assert subprocess.run(["chroot", root, "/usr/sbin/policy-rc.d"], check=False).returncode == 101
    assert 'Acquire::Languages:: "none";' in inside(root, "apt-config", "dump")
    assert "debian-archive-keyring" in Path(root, "etc/apt/sources.list.d/debian.sources").read_text()
    assert not os.path.exists(f"{root}/etc/hostname")
    assert image.config.command == ("bash",)
    newest = max(os.lstat(os.path.join(folder, name)).st_mtime for folder, _, names in os.walk(root) for name in names)
    assert newest <= image.created_at / 1e9
    again = bootstrap(new_store(), "debian:bookworm-slim")
    assert again.id == image.id, "the same packages give the same bytes"
    assert store.verify() == ()


@pytest.mark.parametrize(
    ("reference", "name", "slim"),
    [
        ("debian:bookworm-slim", "bookworm", True),
        ("debian:12", "bookworm", False),
        ("debian", "stable", False),
        ("debian:sid-slim", "sid", True),
        ("ubuntu:24.04", "noble", False),
    ],
)
def test_suites(reference: str, name: str, slim: bool) -> None:
    found = suites.suite_of(parse(reference))
    assert (found.name, found.slim) == (name, slim)


def test_a_mirror_of_ones_own() -> None:
    (stanza,) = suites.suite_of(parse("debian:trixie-slim"), "http://mirror.example/debian").sources
    assert stanza.lines() == ("deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian trixie main",)


def test_a_mirror_that_is_none(store: ImageStore) -> None:
    with pytest.raises(ImageError, match="could not bootstrap debian bookworm") as raised:
        bootstrap(store, "debian:bookworm-slim", mirror="http://127.0.0.1:1/debian")
    assert "mirror" in (raised.value.hint or "")
    assert store.list() == ()
    store.gc()
    assert os.listdir(f"{store.root}/tmp") == []
