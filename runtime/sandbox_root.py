"""The container's view of the file system, made inside its own mount namespace. In the container child only.

Host paths are opened first, then the root is pivoted to, and everything else happens inside the new root by descriptor.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping, Sequence

from runtime import devices, mounts, sandbox_init
from runtime.bundle import Bundle
from runtime.bundle_mounts import BindEntry, LayersEntry, MountEntry, TmpfsEntry
from runtime.errors import KernelError, LaunchError
from runtime.mounts import Root
from runtime.native import syscalls as sys
from runtime.overlayfs import mount_layers
from runtime.record import compiled, dataclass

_SAFE = sys.MS_NOSUID | sys.MS_NODEV | sys.MS_NOEXEC
_SAFE_ATTRIBUTES = sys.MOUNT_ATTR_NOSUID | sys.MOUNT_ATTR_NODEV | sys.MOUNT_ATTR_NOEXEC
_LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)


@dataclass(frozen=True, slots=True)
class Sources:
    """Detached mounts of everything on the host's side, opened before the host is left behind."""

    entries: tuple[tuple[MountEntry, int], ...]
    cgroups: tuple[tuple[str, int], ...]
    shm: int
    mqueue: int
    init: int
    nodes: tuple[devices.Node, ...]


compiled(Sources)


def open_sources(bundle: Bundle, cgroup_mounts: Sequence[str], donors: Mapping[str, int], init: str) -> Sources:
    """Open what will be mounted."""
    opened = [(e, d) for e in bundle.mounts if (d := _open_entry(e)) is not None]
    # Binds come first: only they may stay in a peer group with the host. From here on nothing done in this namespace reaches the host.
    sys.mount("none", "/", "", sys.MS_REC | sys.MS_PRIVATE)
    opened = [(e, _open_layers(e, bundle) if isinstance(e, LayersEntry) else d) for e, d in opened]
    shm, mqueue = _ipc_mounts(bundle, donors)
    return Sources(
        entries=tuple(opened),
        cgroups=tuple(_open_cgroups(bundle, cgroup_mounts)),
        shm=shm,
        mqueue=mqueue,
        init=_open_init(init),
        nodes=(*(devices.host_nodes() if bundle.privileged else ()), *devices.nodes(bundle.devices)),
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


def _open_layers(entry: LayersEntry, bundle: Bundle) -> int:
    """An image's content: its layers mounted for a moment where the root will be, to clone what is wanted of them."""
    place = bundle.root.mountpoint
    if len(entry.lowers) == 1:
        mounted = mounts.clone_inside(entry.lowers[0], entry.subpath or ".", recursive=False)
    else:
        mount_layers(entry.lowers, "", "", place)
        try:
            mounted = mounts.clone_inside(place, entry.subpath or ".", recursive=False)
        except KernelError as error:
            raise mounts.explained(error, entry.origin, entry.target) from None
        finally:
            sys.umount2(place, sys.MNT_DETACH)
    mounts.read_only(mounted, recursive=False)
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
    return [(m, mounts.clone_tree(f"{m}/{bundle.cgroup.path}", recursive=False)) for m in cgroup_mounts]


def _ipc_mounts(bundle: Bundle, donors: Mapping[str, int]) -> tuple[int, int]:
    """/dev/shm and /dev/mqueue of the host or of the donor; -1 where the container gets its own."""
    if bundle.shm == "host":
        return mounts.clone_tree("/dev/shm"), _clone_if_there("/dev/mqueue")
    if bundle.shm == "donor":
        return _from_donor(donors[bundle.namespaces.ipc])
    return -1, -1


def _open_init(path: str) -> int:
    if not path:
        return -1
    mounted = mounts.clone_tree(path, recursive=False)
    mounts.read_only(mounted, recursive=False)
    return mounted


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
    for entry, mounted in sources.entries:
        try:
            _mount_entry(root, entry, mounted)
        except KernelError as error:
            raise mounts.explained(error, entry.origin, entry.target) from None
    if sources.init >= 0:
        root.attach(sources.init, sandbox_init.TARGET)


def _mount_kernel(root: Root, bundle: Bundle, sources: Sources, users: set[str]) -> None:
    """/dev, /sys and /proc by mount(2), one call each. /proc comes last: without it no path of the image can lead through a magic link."""
    if "/dev" not in users:
        _mount_dev(root, bundle, sources, users)
    hidden = 0 if bundle.privileged else sys.MS_RDONLY
    if "/sys" not in users:
        _mount("sysfs", "/sys", _SAFE | hidden)
        if "/sys/fs/cgroup" not in users and sources.cgroups:
            _mount_cgroups(root, bundle, sources.cgroups)
    if "/proc" not in users:
        _mount("proc", "/proc", _SAFE)


def _mount(kind: str, target: str, flags: int, options: str = "", source: str = "") -> None:
    try:
        sys.mount(source or kind, target, kind, flags, options)
    except KernelError as error:
        if error.errno != 2:
            raise
        os.makedirs(target, 0o755, exist_ok=True)
        sys.mount(source or kind, target, kind, flags, options)


def _mount_cgroups(root: Root, bundle: Bundle, cgroups: Sequence[tuple[str, int]]) -> None:
    if len(cgroups) == 1:
        sys.move_mount(cgroups[0][1], sys.AT_FDCWD, "/sys/fs/cgroup")
    else:
        _mount("tmpfs", "/sys/fs/cgroup", _SAFE, "mode=755")
        for mountpoint, mounted in cgroups:
            target = f"/sys/fs/cgroup/{os.path.basename(mountpoint)}"
            os.mkdir(target, 0o755)
            sys.move_mount(mounted, sys.AT_FDCWD, target)
    for _, mounted in cgroups:
        os.close(mounted)
    attributes = _SAFE_ATTRIBUTES | (0 if bundle.privileged else sys.MOUNT_ATTR_RDONLY)
    top = root.open("/sys/fs/cgroup")
    sys.mount_setattr(top, attr_set=attributes, recursive=True)
    os.close(top)


def _mount_dev(root: Root, bundle: Bundle, sources: Sources, users: set[str]) -> None:
    _mount("tmpfs", "/dev", sys.MS_NOSUID | sys.MS_STRICTATIME, "mode=755,size=65536k")
    for name, major, minor in devices.STANDARD:
        os.mknod(f"/dev/{name}", 0o020666, os.makedev(major, minor))
        os.chmod(f"/dev/{name}", 0o666)
    for name, target in _LINKS:
        os.symlink(target, f"/dev/{name}")
    for name in ("pts", "mqueue", "shm"):
        os.mkdir(f"/dev/{name}", 0o755)
    _mount("devpts", "/dev/pts", sys.MS_NOSUID | sys.MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5")
    _mount_ipc(bundle, sources, users)
    _make_nodes(root, sources.nodes)


def _mount_ipc(bundle: Bundle, sources: Sources, users: set[str]) -> None:
    if "/dev/mqueue" in users:
        pass
    elif sources.mqueue >= 0:
        sys.move_mount(sources.mqueue, sys.AT_FDCWD, "/dev/mqueue")
    else:
        _mount("mqueue", "/dev/mqueue", _SAFE)
    if bundle.shm == "none":
        os.rmdir("/dev/shm")
    elif sources.shm >= 0 and "/dev/shm" not in users:
        sys.move_mount(sources.shm, sys.AT_FDCWD, "/dev/shm")
    elif "/dev/shm" not in users:
        _mount("tmpfs", "/dev/shm", _SAFE, f"mode=1777,size={bundle.shm_size}", "shm")


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
        case BindEntry() | LayersEntry():
            root.attach(mounted, entry.target)
        case TmpfsEntry():
            _mount_tmpfs(root, entry)


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
        _lock(path)
    null = root.open("/dev/null") if bundle.confinement.masked_paths else -1
    for path in bundle.confinement.masked_paths:
        _mask(path, null)
    if bundle.root.read_only:
        sys.mount_setattr(root.descriptor, attr_set=sys.MOUNT_ATTR_RDONLY)


def _lock(path: str) -> None:
    try:
        found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    mounted = sys.open_tree(found, "", sys.AT_RECURSIVE)
    sys.mount_setattr(mounted, attr_set=sys.MOUNT_ATTR_RDONLY, recursive=True)
    sys.move_mount(mounted, found, path)


def _mask(path: str, null: int) -> None:
    """A file under /dev/null, a directory under an empty tmpfs (path_resolution(7): these are the kernel's own paths, without links of an image)."""
    try:
        found = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    if stat.S_ISDIR(os.fstat(found).st_mode):
        sys.mount("tmpfs", path, "tmpfs", sys.MS_RDONLY, "size=4k,nr_inodes=1")
    else:
        sys.move_mount(sys.open_tree(null, ""), found, path)
