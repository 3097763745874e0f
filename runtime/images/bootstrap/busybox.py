"""The busybox image out of a static busybox binary: all applets, and the few files a root file system needs."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from typing import TYPE_CHECKING

from runtime.errors import ImageError, Unsupported
from runtime.images import importing
from runtime.images.reference import Reference
from runtime.state import ImageState

if TYPE_CHECKING:
    from runtime.images.bootstrap import Report
    from runtime.images.store import ImageStore

_PT_INTERP = 3
_PLACES = ("/bin/busybox", "/usr/bin/busybox", "/sbin/busybox", "/usr/local/bin/busybox")
_DIRECTORIES = {
    "bin": 0o755, "dev": 0o755, "etc": 0o755, "etc/network": 0o755, "home": 0o755, "lib": 0o755, "proc": 0o555, "root": 0o700, "sys": 0o555,
    "tmp": 0o1777, "usr": 0o755, "usr/bin": 0o755, "usr/sbin": 0o755, "var": 0o755, "var/spool": 0o755, "var/spool/mail": 0o755, "var/www": 0o755,
}  # fmt: skip
_ACCOUNTS = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
sync:x:4:100:sync:/bin:/bin/sync
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
_GROUP = """\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
lp:x:7:
mail:x:8:
kmem:x:9:
wheel:x:10:root
cdrom:x:11:
dialout:x:18:
floppy:x:19:
video:x:28:
audio:x:29:
tape:x:32:
www-data:x:33:
operator:x:37:
utmp:x:43:
plugdev:x:46:
staff:x:50:
lock:x:54:
netdev:x:82:
users:x:100:
nobody:x:65534:
"""
_SHADOW = "".join(f"{line.split(':')[0]}:*::0:::::\n" for line in _ACCOUNTS.splitlines())


def bootstrap(store: ImageStore, reference: Reference, tell: Report) -> ImageState:
    """See ``runtime.images.bootstrap.bootstrap``."""
    with tempfile.TemporaryDirectory(prefix="pycompose-busybox-") as scratch, store.lease(), store.content.staging() as home:
        binary = _binary(scratch, tell)
        root = f"{home}/root"
        epoch = _tree(root, binary)
        layer = store.add_layer(root, move=True)
        document = importing.new_document(
            [layer], {"Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"], "Cmd": ["sh"]},
            created=importing.rfc3339(epoch * 1_000_000_000), comment=f"pycompose bootstrap {reference.familiar}",
        )  # fmt: skip
        return store.add_image(importing.encode(document), [layer], [reference.canonical])


def _tree(root: str, binary: str) -> int:
    os.mkdir(root, 0o755)
    for name, mode in _DIRECTORIES.items():
        os.mkdir(f"{root}/{name}")
        os.chmod(f"{root}/{name}", mode)
    shutil.copyfile(binary, f"{root}/bin/busybox")
    os.chmod(f"{root}/bin/busybox", 0o755)
    for applet in _applets(binary):
        os.symlink("busybox", f"{root}/bin/{applet}")
    os.symlink("/bin/env", f"{root}/usr/bin/env")
    for name, text, mode in (
        ("passwd", _ACCOUNTS, 0o644),
        ("group", _GROUP, 0o644),
        ("shadow", _SHADOW, 0o640),
        ("nsswitch.conf", "hosts: files dns\n", 0o644),
    ):
        with open(f"{root}/etc/{name}", "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(f"{root}/etc/{name}", mode)
    epoch = int(os.stat(binary).st_mtime)
    for directory, _, files in os.walk(root, topdown=False):
        for path in [*(f"{directory}/{name}" for name in files), directory]:
            os.utime(path, (epoch, epoch), follow_symlinks=False)
    return epoch


def _applets(binary: str) -> list[str]:
    done = subprocess.run([binary, "--list"], capture_output=True, text=True, check=True, timeout=30)
    return sorted({name for name in done.stdout.split() if name != "busybox" and "/" not in name})


def _binary(scratch: str, tell: Report) -> str:
    for path in _PLACES:
        if os.path.exists(path) and is_static(path):
            return path
    tell("downloading busybox-static")
    return _downloaded(scratch)


def _downloaded(scratch: str) -> str:
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise Unsupported(
            "there is no static busybox on this host", hint="install the package busybox-static (or your distribution's name for it)"
        )
    command = "apt-get download -q busybox-static && dpkg-deb -x ./*.deb out"
    done = subprocess.run(["sh", "-c", command], cwd=scratch, capture_output=True, text=True, check=False, timeout=120)
    if done.returncode:
        raise ImageError(
            f"busybox-static could not be fetched: {done.stderr.strip()[-300:]}", hint="apt-get update && apt-get install busybox-static"
        )
    return next(p for p in (f"{scratch}/out/bin/busybox", f"{scratch}/out/usr/bin/busybox") if os.path.exists(p))


def is_static(path: str) -> bool:
    """Whether an ELF program needs no interpreter (elf(5): no PT_INTERP program header)."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:4] != b"\x7fELF":
            return False
        wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
        offset = struct.unpack_from(f"{order}{'Q' if wide else 'I'}", head, 32 if wide else 28)[0]
        size, count = struct.unpack_from(f"{order}HH", head, 54 if wide else 42)
        file.seek(offset)
        table = file.read(size * count)
    return all(struct.unpack_from(f"{order}I", table, at)[0] != _PT_INTERP for at in range(0, len(table), size))
