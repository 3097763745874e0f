"""The last steps before execve: limits, identity, confinement, signals, and finding the program. In the container child, for launch and exec."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from runtime import security
from runtime.bundle import DEFAULT_PATH, Confinement
from runtime.errors import KernelError, LaunchError
from runtime.mounts import Root
from runtime.native import syscalls as sys
from runtime.record import compiled, dataclass
from runtime.sandbox_init import reap_for_child
from runtime.spec import Ulimit
from runtime.users import Identity, identify

_LIMIT_NAMES = "as core cpu data fsize memlock msgqueue nice nofile nproc rss rtprio sigpending stack"
_LIMITS = {name: int(getattr(resource, f"RLIMIT_{name.upper()}")) for name in _LIMIT_NAMES.split()} | {"locks": 10, "rttime": 15}


_SIGNAL_NAMES = "HUP INT QUIT PIPE ALRM TERM USR1 USR2 CHLD CONT TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS"
_MAY_BE_IGNORED = [getattr(signal, f"SIG{name}") for name in _SIGNAL_NAMES.split()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """What is to be executed, by whom, where and how confined; ``filter`` is the seccomp program or empty."""

    argv: Sequence[str]
    environment: Mapping[str, str]
    cwd: str
    user: str
    group_add: Sequence[str]
    ulimits: Sequence[Ulimit]
    confinement: Confinement
    filter: bytes
    tty: bool
    ignored_signals: Sequence[int]
    ready: Callable[[], None]  # called when nothing but execve is left
    program: str = ""  # what argv is to run in the end, when that is an init
    reap: bool = False


compiled(Process)


def ignored_signals() -> list[int]:
    """Signals that the caller ignores (Python itself SIGPIPE and SIGXFSZ, shells and nohup some others). Asked by the parent: it is dear in a child."""
    return [number for number in _MAY_BE_IGNORED if signal.getsignal(number) is signal.SIG_IGN]


def become(process: Process, root: Root) -> NoReturn:
    """Turn into the process. Raises LaunchError with Docker's exit codes (126 cannot be executed, 127 not found)."""
    _limit(process.ulimits)
    identity = identify(process.user, process.group_add, _text(root, "/etc/passwd"), _text(root, "/etc/group"))
    environment = _environment(process, identity)
    _confine(process.confinement, process.filter)
    entered = _entered(process.cwd, root)
    _take_identity(identity, process.confinement)
    if not entered:
        _change_directory(process.cwd, root)
    path = _find(process.program or process.argv[0], environment)
    if process.program not in ("", process.argv[0]):
        path = process.argv[0]
    if process.confinement.no_new_privileges and process.filter:
        sys.seccomp_filter(process.filter)
    if process.reap:
        reap_for_child()
    process.ready()
    _reset_signals(process.ignored_signals)
    _execute(path, process.argv, environment)


def _text(root: Root, path: str) -> str:
    """A file of the container's, "" when it has none; never a device or pipe that would block."""
    try:
        descriptor = root.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except KernelError:
        return ""
    try:
        return os.read(descriptor, 1 << 20).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(descriptor)


def _limit(ulimits: Sequence[Ulimit]) -> None:
    for limit in ulimits:
        number = _LIMITS.get(limit.name)
        if number is None:
            raise LaunchError("ulimits", f"ulimits.{limit.name}: no such limit", hint=", ".join(sorted(_LIMITS)))
        try:
            resource.setrlimit(number, (limit.soft, limit.hard))
        except (OSError, ValueError) as error:
            raise LaunchError("ulimits", f"ulimits.{limit.name}: {limit.soft}:{limit.hard}: {error}") from None


def _environment(process: Process, identity: Identity) -> dict[str, str]:
    defaults = {"PATH": DEFAULT_PATH, "HOSTNAME": os.uname().nodename}
    if process.tty:
        defaults["TERM"] = "xterm"
    environment = {**defaults, **process.environment}
    if not environment.get("HOME"):
        environment["HOME"] = identity.home
    return environment


def _confine(confinement: Confinement, program: bytes) -> None:
    """Drop from the bounding set what may never come back; load the filter while that is still allowed without no_new_privs."""
    with contextlib.suppress(KernelError, OSError):
        sys.keyctl(sys.KEYCTL_JOIN_SESSION_KEYRING, b"_ses.pycompose")
    _label(confinement)
    kept = security.capability_mask(confinement.capabilities)
    for number in range(64):
        if not kept >> number & 1:
            try:
                sys.prctl(sys.PR_CAPBSET_DROP, number)
            except KernelError:
                break  # beyond the kernel's last capability
    if confinement.no_new_privileges:
        sys.prctl(sys.PR_SET_NO_NEW_PRIVS, 1)
    elif program:
        sys.seccomp_filter(program)


def _label(confinement: Confinement) -> None:
    """Ask for the AppArmor profile at the next execve; hosts without AppArmor have nothing to set."""
    if confinement.apparmor in ("", "unconfined") or not os.path.exists("/sys/module/apparmor"):
        return
    with open("/proc/self/attr/exec", "w") as file:
        file.write(f"exec {confinement.apparmor}")


def _take_identity(identity: Identity, confinement: Confinement) -> None:
    """As Docker: root has the container's capabilities, anybody else none (they stay in the bounding set for set-uid programs)."""
    kept = security.capability_mask(confinement.capabilities) & sys.capget_permitted()
    _own_streams(identity.uid)
    os.setgroups(identity.groups)
    os.setresgid(identity.gid, identity.gid, identity.gid)
    os.setresuid(identity.uid, identity.uid, identity.uid)
    if identity.uid == 0:
        sys.capset(kept, kept, 0)


def _own_streams(uid: int) -> None:
    """The user may open /dev/stdout again: pipes and terminals become its own, as with Docker."""
    for descriptor in range(3):
        kind = os.fstat(descriptor)
        if stat.S_ISFIFO(kind.st_mode) or (stat.S_ISCHR(kind.st_mode) and os.isatty(descriptor)):
            with contextlib.suppress(OSError):
                os.fchown(descriptor, uid, -1)


def _entered(cwd: str, root: Root) -> bool:
    """Whether the container's root may enter: its user may work in a directory that lies below closed ones, as with Docker (runc)."""
    try:
        _change_directory(cwd, root)
    except LaunchError:
        return False
    return True


def _change_directory(cwd: str, root: Root) -> None:
    """By openat2 without magic links: a cwd such as /proc/self/fd/7 must not lead out of the container."""
    try:
        descriptor = root.open(cwd, os.O_PATH | os.O_DIRECTORY)
        os.fchdir(descriptor)
        os.close(descriptor)
    except (KernelError, OSError) as error:
        reason = os.strerror(error.errno or 0).lower()
        code = 127 if error.errno == 2 else 126
        raise LaunchError("cwd", f"working directory {cwd}: {reason}", exit_code=code, errno=error.errno or 0) from None


def _find(name: str, environment: Mapping[str, str]) -> str:
    """The program's path, as execvp(3) looks for it in the container's PATH."""
    if "/" in name:
        return name
    denied = False
    for directory in environment.get("PATH", DEFAULT_PATH).split(":"):
        path = f"{directory or '.'}/{name}"
        if os.path.isfile(path):
            if os.access(path, os.X_OK):
                return path
            denied = True
    if denied:
        raise LaunchError("exec", f'exec: "{name}": permission denied', exit_code=126, errno=13)
    raise LaunchError("exec", f'exec: "{name}": executable file not found in $PATH', exit_code=127, errno=2)


def _reset_signals(ignored: Sequence[int]) -> None:
    """Default actions, an empty mask, and an ordinary umask.

    Handlers end with execve, ignoring would be inherited.
    """
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o022)
    sys.sigprocmask(0)


def _execute(path: str, argv: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    try:
        os.execve(path, list(argv), environment)
    except OSError as error:
        raise _exec_error(argv[0], path, error) from None
    except ValueError as error:
        raise LaunchError("exec", f'exec: "{argv[0]}": {error}', exit_code=126) from None


def _exec_error(name: str, path: str, error: OSError) -> LaunchError:
    number = error.errno or 0
    reason = os.strerror(number).lower()
    if number == 2 and os.path.exists(path):
        interpreter = _interpreter(path)
        message = f'exec: "{name}": its interpreter {interpreter} was not found' if interpreter else f'exec: "{name}": {reason}'
        return LaunchError(
            "exec", message, exit_code=127, errno=number, hint="the image lacks the program or the dynamic loader it asks for"
        )
    if number == 2:
        return LaunchError("exec", f'exec: "{name}": stat {name}: {reason}', exit_code=127, errno=number)
    if os.path.isdir(path):
        return LaunchError("exec", f'exec: "{name}": is a directory', exit_code=126, errno=number)
    hint = "it is for another machine, or a script without #! in its first line" if number == 8 else None
    return LaunchError("exec", f'exec: "{name}": {reason}', exit_code=126, errno=number, hint=hint)


def _interpreter(path: str) -> str:
    """The interpreter named by a script's first line."""
    with contextlib.suppress(OSError), open(path, "rb") as file:
        line = file.readline(256)
        return line[2:].split()[0].decode(errors="replace") if line.startswith(b"#!") and line[2:].split() else ""
    return ""
