"""overlayfs: one root out of many layers (Documentation/filesystems/overlayfs.rst). In the container child, in its own mount namespace.

The old mount(2) takes its options in one page of 4096 bytes, which some 30 layers fill; here the layers go one by one
(``lowerdir+``, Linux ≥ 6.8), or, before that, as numbers of descriptors.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from runtime.errors import KernelError, LaunchError
from runtime.native import syscalls as sys

_LONGEST = 250  # fsconfig(2) takes strings of 255 bytes
_OPTIONS = (("redirect_dir", "off"), ("metacopy", "off"), ("index", "off"))


def mount_layers(lowers: Sequence[str], upper: str, work: str, mountpoint: str) -> None:
    """Mount the layers (lowest first) on ``mountpoint``, read-only when ``upper`` is empty. Missing ``upper`` and ``work`` are made."""
    if upper:
        _prepare_upper(upper, work)
    if not _takes_layers_one_by_one():
        _by_descriptors(lowers, upper, work, mountpoint)
        return
    try:
        _attach(_by_context(lowers, upper, work), mountpoint)
    except KernelError as error:
        raise _explained(error) from None


def _takes_layers_one_by_one() -> bool:
    """Asked of the release: trying would leave a line in the kernel's log at every start."""
    release = os.uname().release.split(".")
    return (int(release[0]), int("".join(c for c in release[1] if c.isdigit()) or 0)) >= (6, 8)


def _attach(mounted: int, mountpoint: str) -> None:
    target = os.open(mountpoint, os.O_PATH | os.O_CLOEXEC)
    sys.move_mount(mounted, target, mountpoint)
    os.close(target)
    os.close(mounted)


def _prepare_upper(upper: str, work: str) -> None:
    """The root directory's owner and mode are the upper's: root's and 0755, whatever a layer's own entry for it says, as in Docker."""
    if not os.path.isdir(work):
        os.makedirs(work)
    made = not os.path.isdir(upper)
    if made:
        os.makedirs(upper)
    if made or not os.listdir(upper):
        os.chown(upper, 0, 0)
        os.chmod(upper, 0o755)


def _by_context(lowers: Sequence[str], upper: str, work: str) -> int:
    context = sys.fsopen("overlay")
    held: list[int] = []
    try:
        sys.fsconfig(context, sys.FSCONFIG_SET_STRING, "source", "overlay")
        for layer in reversed(lowers):
            sys.fsconfig(context, sys.FSCONFIG_SET_STRING, "lowerdir+", _short(layer, held))
        if upper:
            sys.fsconfig(context, sys.FSCONFIG_SET_STRING, "upperdir", _short(upper, held))
            sys.fsconfig(context, sys.FSCONFIG_SET_STRING, "workdir", _short(work, held))
        for key, value in _OPTIONS:
            sys.fsconfig(context, sys.FSCONFIG_SET_STRING, key, value)
        sys.fsconfig(context, sys.FSCONFIG_CMD_CREATE)
        return sys.fsmount(context)
    finally:
        for descriptor in (context, *held):
            os.close(descriptor)


def _short(path: str, held: list[int]) -> str:
    """The path, or a short name of it by way of an open descriptor."""
    if len(os.fsencode(path)) <= _LONGEST:
        return path
    held.append(_opened(path))
    return f"/proc/self/fd/{held[-1]}"


def _by_descriptors(lowers: Sequence[str], upper: str, work: str, mountpoint: str) -> None:
    """mount(2) with the layers as descriptors' numbers, seen from /proc/self/fd: 4 bytes for each, and no path needs escaping."""
    names = {path: _opened(path) for path in (*lowers, *filter(None, (upper, work)))}
    before = _opened(".")
    os.chdir("/proc/self/fd")
    options = ["lowerdir=" + ":".join(str(names[path]) for path in reversed(lowers)), *(f"{k}={v}" for k, v in _OPTIONS)]
    if upper:
        options += [f"upperdir={names[upper]}", f"workdir={names[work]}"]
    try:
        sys.mount("overlay", mountpoint, "overlay", 0, ",".join(options))
    except KernelError as error:
        raise _explained(error) from None
    finally:
        os.fchdir(before)
        for descriptor in (before, *names.values()):
            os.close(descriptor)


def _opened(path: str) -> int:
    return os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)


def _explained(error: KernelError) -> LaunchError:
    hint = "overlayfs needs an upper directory on a file system such as ext4, xfs, btrfs or tmpfs: see PYCOMPOSE_ROOT"
    if error.errno == 19:  # ENODEV
        hint = "this kernel has no overlayfs (CONFIG_OVERLAY_FS; modprobe overlay)"
    return LaunchError("root", f"overlay: {error.message}", errno=error.errno, hint=hint)
