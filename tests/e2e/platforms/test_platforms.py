"""Images for other machines: kept, told apart, and refused with the reason when nothing here can run them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine

pytestmark = pytest.mark.root
OTHER = 243  # EM_RISCV (elf.h)


def tar(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), 0o755
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def foreign(pycompose: CommandLine, tmp_path: Path) -> str:
    """An image for riscv64, whose only program is one by its header."""
    program = bytearray(Path("/bin/busybox").read_bytes())
    program[18:20] = OTHER.to_bytes(2, "little")
    layer = tar({"bin/sh": bytes(program)})
    config = {
        "architecture": "riscv64", "os": "linux", "config": {"Cmd": ["/bin/sh", "-c", "true"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }  # fmt: skip
    manifest = [{"Config": "c.json", "RepoTags": ["foreign:1"], "Layers": ["layer.tar"]}]
    members = {"layer.tar": layer, "c.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    (tmp_path / "foreign.tar").write_bytes(tar(members))
    pycompose(tmp_path, "image", "load", "-q", "-i", "foreign.tar")
    return "foreign:1"


def test_a_foreign_image_is_kept_and_not_run(pycompose: CommandLine, stack: Callable[[str], Path], foreign: str) -> None:
    try:
        directory = stack(f"services: {{one: {{image: '{foreign}', platform: linux/riscv64, network_mode: none}}}}")
        refused = pycompose(directory, "up", "-d", ok=False)
        assert refused.code == 1
        assert "exec format error" in refused.err
        assert "the image is for linux/riscv64 and this machine is" in refused.err
        pycompose(directory, "down")

        directory = stack(f"services: {{one: {{image: '{foreign}', platform: linux/amd64, pull_policy: never, network_mode: none}}}}")
        refused = pycompose(directory, "up", "-d", ok=False)
        assert refused.code == 1
        assert "does not match the specified platform: wanted linux/amd64, actual: linux/riscv64" in refused.err
    finally:
        pycompose(directory, "down", ok=False)
        pycompose(directory, "image", "rm", foreign, ok=False)
