"""A virtual machine with a kernel of Debian's, cgroup v2 only, and this repository in it: built from files of this machine, run by qemu.

Nothing is installed in it: an initramfs of busybox and a few modules, and an ext4 image with Python, the tests and what they need.
Needs qemu-system-x86, e2fsprogs, busybox, and a kernel: installed in /boot, or fetched by ``apt-get download``.
"""

from __future__ import annotations

import glob
import io
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

REPOSITORY = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
MODULES = (
    "virtio_pci",
    "virtio_blk",
    "overlay",
    "veth",
    "bridge",
    "br_netfilter",
    "nf_tables",
    "nft_chain_nat",
    "nft_masq",
    "nft_nat",
    "nft_ct",
)
MORE_MODULES = ("nft_fib_inet", "nft_reject_inet", "nft_redir", "nft_hash", "nft_compat", "nft_log", "ipv6", "tun", "fuse", "virtio_rng")
PROGRAMS = ("ip", "nft", "mount", "umount", "ldconfig")
PACKAGES = (
    "pytest",
    "_pytest",
    "pluggy",
    "iniconfig",
    "packaging",
    "pytest_timeout.py",
    "py.py",
    "click",
    "anyio",
    "idna",
    "networkx",
    "yaml",
)
MORE_PACKAGES = (
    "pyroute2",
    "urllib3",
    "sniffio",
    "typing_extensions.py",
    "e2b_dockerfile_utils",
    "backports",
    "pygments",
    "_yaml",
    "attr",
    "attrs",
    "sortedcontainers",
)

INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /new
/bin/busybox mount -t devtmpfs dev /dev
/bin/busybox mount -t proc proc /proc
for m in $(/bin/busybox cat /modules); do /bin/busybox insmod /m/$m 2>/dev/null; done
/bin/busybox mount -t ext4 /dev/vda /new || { echo "no root"; /bin/busybox poweroff -f; }
exec /bin/busybox switch_root /new /init
"""

SECOND_INIT = """#!/bin/busybox sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev 2>/dev/null
mkdir -p /dev/pts /dev/shm /dev/mqueue; mount -t devpts devpts /dev/pts; mount -t tmpfs shm /dev/shm; mount -t mqueue mqueue /dev/mqueue
mount -t tmpfs run /run; mount -t tmpfs tmp /tmp; mkdir -p /run/netns
mount -t cgroup2 cgroup2 /sys/fs/cgroup
hostname machine; ip link set lo up
cd /repository
(sh /job 2>&1; echo $? > /status) | cat > /dev/ttyS0
echo "EXIT $(cat /status)" > /dev/ttyS0
sync; poweroff -f
"""


@dataclass(frozen=True)
class Kernel:
    image: str
    modules: str


def find_kernel(scratch: str) -> Kernel:
    """The newest cloud kernel in /boot, or one downloaded into ``scratch``. Raises RuntimeError when there is neither."""
    for image in sorted(glob.glob("/boot/vmlinuz-*-amd64"), reverse=True):
        modules = f"/lib/modules/{os.path.basename(image).removeprefix('vmlinuz-')}"
        if os.path.isdir(modules):
            return Kernel(image, modules)
    return _download_kernel(scratch)


def _download_kernel(scratch: str) -> Kernel:
    depends = subprocess.run(["apt-cache", "depends", "linux-image-cloud-amd64"], capture_output=True, text=True, check=True).stdout
    packages = [line.split()[1] for line in depends.splitlines() if "Depends: linux-image-" in line]
    if not packages:
        raise RuntimeError("no kernel: apt install linux-image-cloud-amd64")
    subprocess.run(["apt-get", "download", "-qq", packages[0]], cwd=scratch, check=True, capture_output=True)
    subprocess.run(["dpkg-deb", "-x", *glob.glob(f"{scratch}/linux-image-*.deb"), f"{scratch}/kernel"], check=True)
    image = glob.glob(f"{scratch}/kernel/boot/vmlinuz-*")[0]
    return Kernel(image, glob.glob(f"{scratch}/kernel/lib/modules/*")[0])


def build_initramfs(kernel: Kernel, path: str) -> None:
    """busybox, the modules in the order of their dependencies, and an init that mounts the disk."""
    files: dict[str, tuple[int, bytes]] = {"bin/busybox": (0o755, _read("/bin/busybox")), "init": (0o755, INIT.encode())}
    names = []
    for module in _ordered_modules(kernel, (*MODULES, *MORE_MODULES)):
        names.append(os.path.basename(module))
        files[f"m/{names[-1]}"] = (0o644, _read(module))
    files["modules"] = (0o644, "\n".join(names).encode())
    with open(path, "wb") as file:
        file.write(cpio(files))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _ordered_modules(kernel: Kernel, wanted: Iterable[str]) -> list[str]:
    """Paths of the modules (those not built in), each after what it needs. The package has no modules.dep yet: depmod makes one."""
    if not os.path.exists(f"{kernel.modules}/modules.dep"):
        base = os.path.dirname(os.path.dirname(os.path.dirname(kernel.modules)))
        subprocess.run(["depmod", "-b", base, os.path.basename(kernel.modules)], check=True)
    needs = {}
    for line in _read(f"{kernel.modules}/modules.dep").decode().splitlines():
        path, _, others = line.partition(":")
        needs[os.path.basename(path).removesuffix(".ko").replace("-", "_")] = (path, others.split())
    ordered: dict[str, None] = {}
    for name in (w for w in wanted if w in needs):
        path, others = needs[name]
        ordered.update(dict.fromkeys([*reversed(others), path]))
    return [f"{kernel.modules}/{path}" for path in ordered]


def cpio(files: dict[str, tuple[int, bytes]]) -> bytes:
    """An archive in the kernel's initramfs format (newc, cpio(5)): regular files and the directories they need."""
    out = io.BytesIO()
    directories = {os.path.dirname(name) for name in files} - {""}
    entries = [(d, stat.S_IFDIR | 0o755, b"") for d in sorted(directories)]
    entries += [(name, stat.S_IFREG | mode, data) for name, (mode, data) in files.items()]
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        head = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        out.write(b"070701" + b"".join(b"%08x" % value for value in head) + name.encode() + b"\0")
        out.write(b"\0" * (-out.tell() % 4) + data)
        out.write(b"\0" * (-out.tell() % 4))
    return out.getvalue()


def build_disk(scratch: str, path: str, job: str) -> None:
    """An ext4 image: busybox, Python with its library, a few programs, the repository, and ``job``, a shell script to be run in it."""
    root = f"{scratch}/disk"
    for name in ("bin", "sbin", "usr/bin", "usr/sbin", "etc", "proc", "sys", "dev", "run", "tmp", "root", "var/tmp", "var/lib"):
        os.makedirs(f"{root}/{name}", exist_ok=True)
    shutil.copy("/bin/busybox", f"{root}/bin/busybox")
    for applet in subprocess.run(["/bin/busybox", "--list"], capture_output=True, text=True, check=True).stdout.split():
        if applet != "busybox":
            os.symlink("/bin/busybox", f"{root}/bin/{applet}")
    for name in ("passwd", "group", "hosts", "hostname", "nsswitch.conf", "protocols", "services"):
        shutil.copy(f"/etc/{name}", f"{root}/etc/{name}")
    _copy_python(root)
    for program in PROGRAMS:
        if found := shutil.which(program, path="/usr/sbin:/usr/bin:/sbin:/bin"):
            os.remove(f"{root}/bin/{program}") if os.path.lexists(f"{root}/bin/{program}") else None
            copy_program(found, root)
    for pattern in ("libseccomp.so.2", "libnftables.so.1"):
        for library in glob.glob(f"/usr/lib/*/{pattern}"):
            copy_program(library, root)
    for name in ("compose", "runtime", "tests", "pyproject.toml"):
        _copy_tree(f"{REPOSITORY}/{name}", f"{root}/repository/{name}")
    for name, text in (("init", SECOND_INIT), ("job", job)):
        with open(f"{root}/{name}", "w") as file:
            file.write(text)
        os.chmod(f"{root}/{name}", 0o755)
    _make_image(root, path)


def _make_image(root: str, path: str) -> None:
    with open(path, "wb") as file:
        file.truncate(1 << 30)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-d", root, path], check=True, capture_output=True)
    shutil.rmtree(root)


def _copy_tree(source: str, target: str) -> None:
    if os.path.isdir(source):
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("node_modules"))
    elif os.path.exists(source):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        shutil.copy(source, target)


def _copy_python(root: str) -> None:
    """The base interpreter with its library, and the packages that the tests and the commands use."""
    executable = os.path.realpath(sys.executable)
    copy_program(executable, root)
    link = f"{root}/usr/bin/python3"
    if not os.path.lexists(link):
        os.symlink(executable, link)
    library = os.path.dirname(os.__file__)
    ignore = shutil.ignore_patterns("test", "tests", "idlelib", "tkinter", "lib2to3", "ensurepip", "dist-packages", "site-packages")
    shutil.copytree(library, f"{root}{library}", symlinks=True, ignore=ignore)
    for extension in glob.glob(f"{root}{library}/lib-dynload/*.so"):
        _copy_libraries(extension, root)
    for directory in (p for p in sys.path if p.endswith("site-packages")):
        for package in (*PACKAGES, *MORE_PACKAGES):
            _copy_tree(f"{directory}/{package}", f"{root}/repository/{package}")
            for extension in glob.glob(f"{directory}/{package}/**/*.so", recursive=True):
                _copy_libraries(extension, root)


def copy_program(path: str, root: str) -> None:
    """A program or library under the same path, with the libraries it is linked with."""
    os.makedirs(os.path.dirname(root + path), exist_ok=True)
    shutil.copy(path, root + path)
    _copy_libraries(path, root)


def _copy_libraries(path: str, root: str) -> None:
    listed = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    for word in (w for line in listed.splitlines() for w in line.split() if w.startswith("/")):
        if not os.path.exists(root + word):
            os.makedirs(os.path.dirname(root + word), exist_ok=True)
            shutil.copy(word, root + word)


def boot(kernel: Kernel, initramfs: str, disk: str, *, seconds: float, memory: str = "1024M", processors: int = 2) -> str:
    """Run the machine until it powers itself off; everything its console said. It has no network.

    Emulated (tcg) on purpose: nested virtualisation is often there in name only, and then hangs.
    """
    command: Sequence[str] = (
        *("qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max"),
        *("-m", memory, "-smp", str(processors), "-nographic", "-no-reboot", "-nic", "none"),
        *("-kernel", kernel.image, "-initrd", initramfs, "-append", "console=ttyS0 quiet panic=-1 systemd.unified_cgroup_hierarchy=1"),
        *("-drive", f"file={disk},format=raw,if=virtio,cache=unsafe"),
    )
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
    return done.stdout.decode(errors="replace").replace("\r", "") + done.stderr.decode(errors="replace")
