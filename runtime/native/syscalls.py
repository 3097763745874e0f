"""System calls that Python lacks: three-line wrappers under their kernel names, and one way to raise. In every process that needs them.

All calls go through ``PyDLL``, which keeps the interpreter lock: a child made by a raw clone3(2) must not wait for locks of threads it has not got.
Sources: the man pages, section 2, and the kernel's include/uapi/.
"""

from __future__ import annotations

import ctypes
import os
import struct

from runtime.errors import KernelError

_libc = ctypes.PyDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_long] + [ctypes.c_void_p] * 6

Argument = int | bytes | None

# Numbers differ for calls older than Linux 5.1 only.
_ARM = os.uname().machine in ("aarch64", "riscv64")
_MOUNT, _UMOUNT2, _PIVOT_ROOT = (40, 39, 41) if _ARM else (165, 166, 155)
_UNSHARE, _SETNS = (97, 268) if _ARM else (272, 308)
_SETHOSTNAME, _SETDOMAINNAME = (161, 162) if _ARM else (170, 171)
_PRCTL, _CAPGET, _CAPSET, _SECCOMP, _BPF = (167, 90, 91, 277, 280) if _ARM else (157, 125, 126, 317, 321)
_KEYCTL, _PIPE_SIZE = (219, 1031) if _ARM else (250, 1031)
_RT_SIGPROCMASK = 135 if _ARM else 14
_INOTIFY_INIT1, _INOTIFY_ADD_WATCH, _INOTIFY_RM_WATCH = (26, 27, 28) if _ARM else (294, 254, 255)
_IOCTL = 29 if _ARM else 16
_MOVE_MOUNT, _OPEN_TREE, _FSOPEN, _FSCONFIG, _FSMOUNT = 429, 428, 430, 431, 432
_CLONE3, _CLOSE_RANGE, _OPENAT2, _PIDFD_GETFD, _MOUNT_SETATTR = 435, 436, 437, 438, 442

AT_FDCWD = -100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
CLONE_PIDFD = 0x00001000
CLONE_INTO_CGROUP = 0x200000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_STRICTATIME = 1 << 24
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MS_SLAVE = 0x80000
MS_SHARED = 0x100000
MNT_DETACH = 2

FSOPEN_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSMOUNT_CLOEXEC = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x4
MOVE_MOUNT_T_EMPTY_PATH = 0x40
OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = os.O_CLOEXEC
MOUNT_ATTR_RDONLY = 0x1
MOUNT_ATTR_NOSUID = 0x2
MOUNT_ATTR_NODEV = 0x4
MOUNT_ATTR_NOEXEC = 0x8
MOUNT_ATTR_STRICTATIME = 0x20

RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_SET_MODE_FILTER = 1
CLOSE_RANGE_CLOEXEC = 4
KEYCTL_JOIN_SESSION_KEYRING = 1
ALL_SIGNALS = 2**64 - 1
_SIG_SETMASK = 2

PIDFD_GET_INFO = 0xC040FF0B
PIDFD_INFO_EXIT = 1 << 3
IN_MODIFY, IN_MOVED_TO, IN_CREATE, IN_DELETE, IN_CLOSE_WRITE = 0x2, 0x80, 0x100, 0x200, 0x8


def _raise(name: str, subject: str) -> int:
    raise KernelError(name, ctypes.get_errno(), subject)


def _call(name: str, number: int, *arguments: Argument, subject: str = "") -> int:
    """The one door to the kernel: a result, or KernelError with the call's name."""
    padded = arguments + (0,) * (6 - len(arguments))
    result = int(_syscall(number, *padded))
    return result if result >= 0 else _raise(name, subject)


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2), the old interface: propagation, and file systems that the new one does not take."""
    _call("mount", _MOUNT, source.encode(), os.fsencode(target), kind.encode() or None, flags, options.encode() or None, subject=target)


def umount2(target: str, flags: int = 0) -> None:
    """umount2(2)."""
    _call("umount2", _UMOUNT2, os.fsencode(target), flags, subject=target)


def pivot_root(new_root: str, put_old: str) -> None:
    """pivot_root(2)."""
    _call("pivot_root", _PIVOT_ROOT, os.fsencode(new_root), os.fsencode(put_old), subject=new_root)


def unshare(flags: int) -> None:
    """unshare(2)."""
    _call("unshare", _UNSHARE, flags)


def setns(descriptor: int, flags: int, subject: str = "") -> None:
    """setns(2), on a namespace file or a pidfd."""
    _call("setns", _SETNS, descriptor, flags, subject=subject)


def sethostname(name: str) -> None:
    """sethostname(2)."""
    _call("sethostname", _SETHOSTNAME, name.encode(), len(name.encode()), subject=name)


def setdomainname(name: str) -> None:
    """setdomainname(2)."""
    _call("setdomainname", _SETDOMAINNAME, name.encode(), len(name.encode()), subject=name)


def prctl(option: int, *arguments: int) -> int:
    """prctl(2)."""
    return _call("prctl", _PRCTL, option, *arguments)


def capset(effective: int, permitted: int, inheritable: int) -> None:
    """capset(2) of the calling thread; each set is a mask of 64 bits."""
    header = struct.pack("=Ii", 0x20080522, 0)
    low = (effective & 0xFFFFFFFF, permitted & 0xFFFFFFFF, inheritable & 0xFFFFFFFF)
    high = (effective >> 32, permitted >> 32, inheritable >> 32)
    _call("capset", _CAPSET, header, struct.pack("=6I", *low, *high))


def capget_permitted() -> int:
    """capget(2): the permitted set of the calling thread, as a mask of 64 bits."""
    data = ctypes.create_string_buffer(24)
    _call("capget", _CAPGET, struct.pack("=Ii", 0x20080522, 0), ctypes.addressof(data))
    _, low, _, _, high, _ = struct.unpack("=6I", data.raw)
    return int(low | high << 32)


def seccomp_filter(program: bytes) -> None:
    """seccomp(2), SECCOMP_SET_MODE_FILTER, with a program of 8-byte struct sock_filter."""
    buffer = ctypes.create_string_buffer(program, len(program))
    prog = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    _call("seccomp", _SECCOMP, SECCOMP_SET_MODE_FILTER, 0, prog)


def bpf(command: int, attributes: bytes) -> int:
    """bpf(2); pointers inside ``attributes`` are the caller's to keep alive."""
    return _call("bpf", _BPF, command, attributes, len(attributes))


def keyctl(operation: int, *arguments: Argument) -> int:
    """keyctl(2)."""
    return _call("keyctl", _KEYCTL, operation, *arguments)


def clone3(flags: int, exit_signal: int, cgroup: int = -1) -> tuple[int, int]:
    """clone3(2) as a fork: (pid, pidfd) in the parent, (0, -1) in the child. ``cgroup`` is a v2 directory to be born into."""
    pidfd = ctypes.c_int(-1)
    if cgroup >= 0:
        flags |= CLONE_INTO_CGROUP
    address = ctypes.addressof(pidfd)
    arguments = struct.pack("=11Q", flags | CLONE_PIDFD, address, 0, 0, exit_signal, 0, 0, 0, 0, 0, max(cgroup, 0))
    pid = _call("clone3", _CLONE3, arguments, len(arguments))
    return pid, pidfd.value if pid else -1


def sigprocmask(blocked: int) -> int:
    """rt_sigprocmask(2), SIG_SETMASK: block the signals of the mask (bit n-1 is signal n), and no others; returns the mask before.

    ``signal.pthread_sigmask`` makes an enumeration's member of every number that was blocked, which takes as long as a fork.
    """
    before = ctypes.create_string_buffer(8)
    _call("rt_sigprocmask", _RT_SIGPROCMASK, _SIG_SETMASK, struct.pack("=Q", blocked), ctypes.addressof(before), 8)
    return int(struct.unpack("=Q", before.raw)[0])


def close_range(first: int, last: int, flags: int = 0) -> None:
    """close_range(2)."""
    _call("close_range", _CLOSE_RANGE, first, last, flags)


def openat2(directory: int, path: str, flags: int, resolve: int, mode: int = 0) -> int:
    """openat2(2): open ``path`` under the rules of ``resolve``; always close-on-exec."""
    how = struct.pack("=3Q", flags | os.O_CLOEXEC, mode, resolve)
    return _call("openat2", _OPENAT2, directory, os.fsencode(path), how, len(how), subject=path)


def pidfd_getfd(pidfd: int, descriptor: int) -> int:
    """pidfd_getfd(2): a duplicate of another process's descriptor."""
    return _call("pidfd_getfd", _PIDFD_GETFD, pidfd, descriptor, 0)


def pidfd_exit_status(pidfd: int) -> int | None:
    """The wait status of an exited and reaped process (PIDFD_GET_INFO with PIDFD_INFO_EXIT, Linux ≥ 6.15), or None when the kernel cannot tell."""
    buffer = ctypes.create_string_buffer(struct.pack("=Q", PIDFD_INFO_EXIT), 64)
    try:
        _call("ioctl", _IOCTL, pidfd, PIDFD_GET_INFO, ctypes.addressof(buffer))
    except KernelError:
        return None
    mask, status = struct.unpack_from("=Q", buffer, 0)[0], struct.unpack_from("=i", buffer, 60)[0]
    return int(status) if mask & PIDFD_INFO_EXIT else None


def inotify_init1(flags: int = os.O_CLOEXEC) -> int:
    """inotify_init1(2)."""
    return _call("inotify_init1", _INOTIFY_INIT1, flags)


def inotify_add_watch(descriptor: int, path: str, mask: int) -> int:
    """inotify_add_watch(2)."""
    return _call("inotify_add_watch", _INOTIFY_ADD_WATCH, descriptor, os.fsencode(path), mask, subject=path)


def inotify_rm_watch(descriptor: int, watch: int) -> None:
    """inotify_rm_watch(2)."""
    _call("inotify_rm_watch", _INOTIFY_RM_WATCH, descriptor, watch)


def fsopen(kind: str) -> int:
    """fsopen(2): a configuration context for a file system of that kind."""
    return _call("fsopen", _FSOPEN, kind.encode(), FSOPEN_CLOEXEC, subject=kind)


def fsconfig(context: int, command: int, key: str = "", value: str = "") -> None:
    """fsconfig(2) with a flag, a string (at most 255 bytes) or a command."""
    text = os.fsencode(value) if command == FSCONFIG_SET_STRING else None
    _call("fsconfig", _FSCONFIG, context, command, key.encode() or None, text, 0, subject=f"{key}={value}" if key else "")


def fsmount(context: int, attributes: int = 0) -> int:
    """fsmount(2): a detached mount of a created context."""
    return _call("fsmount", _FSMOUNT, context, FSMOUNT_CLOEXEC, attributes)


def move_mount(source: int, target: int, path: str = "") -> None:
    """move_mount(2): attach the mount ``source`` on what ``target`` is open on (``path`` names it in messages), or, with AT_FDCWD, on ``path``."""
    by_path = target == AT_FDCWD
    flags = MOVE_MOUNT_F_EMPTY_PATH | (0 if by_path else MOVE_MOUNT_T_EMPTY_PATH)
    _call("move_mount", _MOVE_MOUNT, source, b"", target, os.fsencode(path) if by_path else b"", flags, subject=path)


def open_tree(directory: int, path: str, flags: int = 0) -> int:
    """open_tree(2), OPEN_TREE_CLONE: a detached bind mount of ``path`` (AT_RECURSIVE takes what is mounted below along)."""
    flags |= OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    return _call("open_tree", _OPEN_TREE, directory, os.fsencode(path), flags | (0 if path else AT_EMPTY_PATH), subject=path)


def mount_setattr(mounted: int, *, attr_set: int = 0, attr_clr: int = 0, propagation: int = 0, recursive: bool = False) -> None:
    """mount_setattr(2) on an open mount."""
    attributes = struct.pack("=4Q", attr_set, attr_clr, propagation, 0)
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    _call("mount_setattr", _MOUNT_SETATTR, mounted, b"", flags, attributes, len(attributes))
