"""The container's view of the file system, made inside its own mount namespace. In the container child only.

Host paths are opened first, then the root is pivoted to, and everything else happens inside the new root by descriptor.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from runtime import devices, mounts
from runtime.bundle import Bundle
from runtime.bundle_mounts import BindEntry, LayersEntry, MountEntry, TmpfsEntry
from runtime.errors import KernelError, LaunchError
from runtime.mounts import Root
from runtime.native import syscalls as sys
from runtime.overlayfs import mount_layers

_SAFE = sys.MOUNT_ATTR_NOSUID | sys.MOUNT_ATTR_NODEV | sys.MOUNT_ATTR_NOEXEC
_LINKS = (("fd", "/proc/self/fd"), ("stdin", "/proc/self/fd/0"), ("stdout", "/proc/self/fd/1"), ("stderr", "/proc/self/fd/2"), ("ptmx", "pts/ptmx"))


@dataclass(frozen=True, slots=True)
class Sources:
    """Detached mounts of everything on the host's side, opened before the host is left behind."""

    entries: tuple[tuple[MountEntry, int], ...]
    cgroups: tuple[tuple[str, int], ...]
    shm: int
    mqueue: int
    init: int
    nodes: tuple[devices.Node, ...]


def open_sources(bundle: Bundle, cgroup_mounts: Sequence[str], donors: Mapping[str, int], init: str) -> Sources:
    """Open what will be mounted."""
    opened = tuple((e, d) for e in bundle.mounts if (d := _open_entry(e)) is not None)
    shm, mqueue = _ipc_mounts(bundle, donors)
    return Sources(
        entries=opened,
        cgroups=tuple(_open_cgroups(bundle, cgroup_mounts)),
        shm=shm,
        mqueue=mqueue,
        init=mounts.clone_tree(init, recursive=False) if init else -1,
        nodes=tuple([*(devices.host_nodes() if bundle.privileged else ()), *devices.nodes(bundle.devices)]),
    )


def _open_entry(entry: MountEntry) -> int | None:
    try:
        match entry:
            case BindEntry():
                return _open_bind(entry)
            case _:
                return -1
    except KernelError as error:
        raise mounts.explained(error, entry.origin, entry.target) from None
    except OSError as error:
        raise LaunchError("mounts", f"{entry.origin or entry.target}: {error.filename}: {error.strerror}", errno=error.errno or 0) from None


def _open_bind(entry: BindEntry) -> int | None:
    if entry.create_source:
        _create_source(entry.source)
    recursive = entry.recursive != "disabled"
    try:
        mounted = (
            mounts.clone_inside(entry.source, entry.subpath, recursive=recursive)
            if entry.subpath
            else mounts.clone_tree(entry.source, recursive=recursive)
        )
    except (KernelError, FileNotFoundError) as error:
        if error.errno == 2 and entry.optional:
            return None
        if error.errno == 2:
            missing = f"{entry.source}/{entry.subpath}".rstrip("/")
            raise LaunchError(
                "mounts",
                f"{entry.origin or entry.target}: bind source path does not exist: {missing}",
                errno=2,
                hint="create it, or use the short syntax (source:target), which makes a missing directory",
            ) from None
        raise
    _set_flags(mounted, entry, recursive)
    return mounted


def _create_source(path: str) -> None:
    with contextlib.suppress(FileExistsError):
        os.makedirs(path, 0o755)


def _set_flags(mounted: int, entry: BindEntry, recursive: bool) -> None:
    deep = recursive and entry.propagation.startswith("r")
    sys.mount_setattr(mounted, propagation=mounts.PROPAGATION[entry.propagation], recursive=deep)
    if entry.read_only:
        mounts.read_only(mounted, recursive=recursive and entry.recursive != "writable")


def _open_cgroups(bundle: Bundle, cgroup_mounts: Sequence[str]) -> list[tuple[str, int]]:
    """The container's own cgroup of every hierarchy, under the name of its mount point; read-only unless privileged."""
    opened = []
    for mountpoint in cgroup_mounts:
        mounted = mounts.clone_tree(f"{mountpoint}/{bundle.cgroup.path}", recursive=False)
        attributes = _SAFE | (0 if bundle.privileged else sys.MOUNT_ATTR_RDONLY)
        sys.mount_setattr(mounted, attr_set=attributes, propagation=sys.MS_PRIVATE)
        opened.append((mountpoint, mounted))
    return opened


def _ipc_mounts(bundle: Bundle, donors: Mapping[str, int]) -> tuple[int, int]:
    """/dev/shm and /dev/mqueue of the host or of the donor; -1 where the container gets its own."""
    if bundle.shm == "host":
        return mounts.clone_tree("/dev/shm"), _clone_if_there("/dev/mqueue")
    if bundle.shm == "donor":
        return _from_donor(donors[bundle.namespaces.ipc])
    return -1, -1


def _clone_if_there(path: str) -> int:
    try:
        return mounts.clone_tree(path)
    except KernelError:
        return -1


def _from_donor(pid: int) -> tuple[int, int]:
    """A mount can only be cloned from inside its own mount namespace: go there, clone, come back."""
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    theirs = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    sys.setns(theirs, sys.CLONE_NEWNS, "mount namespace")
    try:
        return _clone_if_there("/dev/shm"), _clone_if_there("/dev/mqueue")
    finally:
        sys.setns(own, sys.CLONE_NEWNS, "mount namespace")
        os.close(own)
        os.close(theirs)


def enter_root(bundle: Bundle) -> Root:
    """Mount the layers, make them the root, and let go of the host's."""
    sys.mount("none", "/", "", sys.MS_REC | sys.MS_PRIVATE)
    plan = bundle.root
    mount_layers(plan.lowers, plan.upper, plan.work, plan.mountpoint)
    os.chdir(plan.mountpoint)
    sys.pivot_root(".", ".")
    sys.umount2(".", sys.MNT_DETACH)
    os.chdir("/")
    return Root(os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


def furnish(root: Root, bundle: Bundle, sources: Sources) -> None:
    """Mount everything inside the root, the defaults first, then the user's, parents before children."""
    users = {e.target.rstrip("/") for e, _ in sources.entries}
    _mount_kernel(root, bundle, sources, users)
    _mount_dev(root, bundle, sources, users)
    for entry, mounted in sources.entries:
        try:
            _mount_entry(root, entry, mounted)
        except KernelError as error:
            raise mounts.explained(error, entry.origin, entry.target) from None
    if sources.init >= 0:
        root.attach(sources.init, "/sbin/docker-init")


def _mount_kernel(root: Root, bundle: Bundle, sources: Sources, users: set[str]) -> None:
    """/proc, /sys and /sys/fs/cgroup."""
    if "/proc" not in users:
        root.attach(mounts.filesystem("proc", (), _SAFE), "/proc")
    if "/sys" in users:
        return
    hidden = 0 if bundle.privileged else sys.MOUNT_ATTR_RDONLY
    root.attach(mounts.filesystem("sysfs", (), _SAFE | hidden), "/sys")
    if "/sys/fs/cgroup" not in users and sources.cgroups:
        _mount_cgroups(root, bundle, sources.cgroups)


def _mount_cgroups(root: Root, bundle: Bundle, cgroups: Sequence[tuple[str, int]]) -> None:
    if len(cgroups) == 1:
        root.attach(cgroups[0][1], "/sys/fs/cgroup", create=False)
        return
    root.attach(mounts.filesystem("tmpfs", ("mode=755",), _SAFE), "/sys/fs/cgroup", create=False)
    for mountpoint, mounted in cgroups:
        root.attach(mounted, f"/sys/fs/cgroup/{os.path.basename(mountpoint)}")


def _mount_dev(root: Root, bundle: Bundle, sources: Sources, users: set[str]) -> None:
    if "/dev" in users:
        return
    options = ("mode=755", "size=65536k")
    root.attach(mounts.filesystem("tmpfs", options, sys.MOUNT_ATTR_NOSUID | sys.MOUNT_ATTR_STRICTATIME), "/dev")
    _make_nodes(root, [*devices.standard_nodes(), *sources.nodes])
    directory = root.open("/dev", os.O_RDONLY | os.O_DIRECTORY)
    for name, target in _LINKS:
        os.symlink(target, name, dir_fd=directory)
    os.close(directory)
    pts = ("newinstance", "ptmxmode=0666", "mode=0620", "gid=5")
    root.attach(mounts.filesystem("devpts", pts, sys.MOUNT_ATTR_NOSUID | sys.MOUNT_ATTR_NOEXEC), "/dev/pts")
    _mount_ipc(root, bundle, sources, users)


def _mount_ipc(root: Root, bundle: Bundle, sources: Sources, users: set[str]) -> None:
    if "/dev/mqueue" not in users:
        root.attach(sources.mqueue if sources.mqueue >= 0 else mounts.filesystem("mqueue", (), _SAFE), "/dev/mqueue")
    if "/dev/shm" in users or bundle.shm == "none":
        return
    options = ("mode=1777", f"size={bundle.shm_size}")
    root.attach(sources.shm if sources.shm >= 0 else mounts.filesystem("tmpfs", options, _SAFE, "shm"), "/dev/shm")


def _make_nodes(root: Root, nodes: Sequence[devices.Node]) -> None:
    for node in {n.target: n for n in nodes}.values():
        head, _, name = node.target.rpartition("/")
        parent = root.make_directory(head or "/")
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=parent)
            os.mknod(name, node.mode, os.makedev(node.major, node.minor), dir_fd=parent)
            os.chown(name, node.uid, node.gid, dir_fd=parent, follow_symlinks=False)
            os.chmod(name, node.mode & 0o7777, dir_fd=parent)
        finally:
            os.close(parent)


def _mount_entry(root: Root, entry: MountEntry, mounted: int) -> None:
    match entry:
        case BindEntry():
            root.attach(mounted, entry.target)
        case TmpfsEntry():
            _mount_tmpfs(root, entry)
        case LayersEntry():
            raise LaunchError("mounts", f"{entry.origin}: image mounts are not ready")


def _mount_tmpfs(root: Root, entry: TmpfsEntry) -> None:
    """A tmpfs takes the mode of the directory it covers unless one was given."""
    attributes, options = mounts.split_options(entry.options)
    if not any(o.startswith("mode=") for o in options) and root.exists(entry.target):
        covered = root.open(entry.target)
        options.append(f"mode={os.fstat(covered).st_mode & 0o7777:o}")
        os.close(covered)
    root.attach(mounts.filesystem("tmpfs", options, attributes), entry.target)


def set_sysctls(root: Root, values: Mapping[str, str]) -> None:
    """Write the sysctls; each acts on the namespace the child is in."""
    for name, value in values.items():
        path = f"/proc/sys/{name.replace('.', '/')}"
        try:
            descriptor = root.open(path, os.O_WRONLY)
            os.write(descriptor, value.encode())
            os.close(descriptor)
        except (KernelError, OSError) as error:
            if name.startswith("net.ipv4.ping_group") or name.endswith("ip_unprivileged_port_start"):
                continue
            raise LaunchError("sysctls", f"sysctls.{name}: {os.strerror(error.errno or 0)}", errno=error.errno or 0) from None


def hide(root: Root, bundle: Bundle) -> None:
    """Mask and lock the kernel's files that tell or change too much; then make the root read-only when asked for."""
    for path in bundle.confinement.readonly_paths:
        with contextlib.suppress(KernelError):
            mounted = mounts.clone_tree("", directory=root.open(path))
            sys.mount_setattr(mounted, attr_set=sys.MOUNT_ATTR_RDONLY, recursive=True)
            root.attach(mounted, path, create=False)
    for path in bundle.confinement.masked_paths:
        with contextlib.suppress(KernelError):
            _mask(root, path)
    if bundle.root.read_only:
        sys.mount_setattr(root.descriptor, attr_set=sys.MOUNT_ATTR_RDONLY)


def _mask(root: Root, path: str) -> None:
    target = root.open(path)
    is_directory = os.path.isdir(f"/proc/self/fd/{target}")
    os.close(target)
    if is_directory:
        mounted = mounts.filesystem("tmpfs", ("size=4k", "nr_inodes=1"), sys.MOUNT_ATTR_RDONLY)
    else:
        mounted = mounts.clone_tree("", recursive=False, directory=root.open("/dev/null"))
    root.attach(mounted, path, create=False)
