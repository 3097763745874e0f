"""Capabilities, ``security_opt`` and default masks: what a container may do, decided as data. Pure, in every process.

The default sets are Docker's (its reference manual, "Runtime privilege and Linux capabilities"); names and numbers are capabilities(7)'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from runtime.errors import RuntimeFailure, Unsupported
from runtime.record import dataclass

_IN_BIT_ORDER = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN "
    "NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON "
    "BPF CHECKPOINT_RESTORE"
)
CAPABILITIES = tuple(_IN_BIT_ORDER.split())
"""Every capability, at the index that is its bit (capabilities(7))."""

_BY_DEFAULT = "CHOWN DAC_OVERRIDE FSETID FOWNER MKNOD NET_RAW SETGID SETUID SETFCAP SETPCAP NET_BIND_SERVICE SYS_CHROOT KILL AUDIT_WRITE"
DEFAULT_CAPABILITIES = tuple(_BY_DEFAULT.split())

MASKED_PATHS = (
    *("/proc/asound", "/proc/acpi", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"),
    *("/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"),
)
READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True, kw_only=True)
class SecurityOptions:
    """``security_opt``, decoded. ``seccomp`` is "", "unconfined" or a profile's JSON text or path; ``apparmor`` a profile's name or "unconfined"."""

    no_new_privileges: bool = False
    seccomp: str = ""
    apparmor: str = ""
    labels: tuple[str, ...] = ()
    unmasked: bool = False
    writable_cgroups: bool = False


def security_options(options: Sequence[str]) -> SecurityOptions:
    """Decode ``security_opt`` (``key=value``, the older ``key:value``, or ``no-new-privileges``). Raises for an unknown option."""
    found = SecurityOptions()
    for option in options:
        found = _with_option(found, option)
    return found


def _with_option(found: SecurityOptions, option: str) -> SecurityOptions:
    from dataclasses import replace

    separator = "=" if "=" in option else ":"
    key, _, value = option.partition(separator)
    match key:
        case "no-new-privileges":
            return replace(found, no_new_privileges=_truth(option, value or "true"))
        case "seccomp":
            return replace(found, seccomp=value)
        case "apparmor":
            return replace(found, apparmor=value)
        case "label":
            return replace(found, labels=(*found.labels, value))
        case "systempaths" if value == "unconfined":
            return replace(found, unmasked=True)
        case "writable-cgroups":
            return replace(found, writable_cgroups=_truth(option, value or "true"))
    raise RuntimeFailure(
        f"invalid security_opt: {option!r}",
        hint="known are no-new-privileges, seccomp=…, apparmor=…, label=…, systempaths=unconfined, writable-cgroups",
    )


def _truth(option: str, value: str) -> bool:
    if value not in ("true", "false"):
        raise RuntimeFailure(f"invalid security_opt: {option!r}: neither true nor false")
    return value == "true"


def capability_set(add: Iterable[str], drop: Iterable[str], *, privileged: bool = False) -> tuple[str, ...]:
    """The capabilities of a container, without ``CAP_``, in bit order, by Docker's rules: ALL in either list counts before single names.

    Raises RuntimeFailure for a name that capabilities(7) does not know.
    """
    added, dropped = _names(add), _names(drop)
    if privileged:
        return CAPABILITIES
    if "ALL" in added:
        base = set(CAPABILITIES) - dropped
    elif "ALL" in dropped:
        base = set(added)
    else:
        base = (set(DEFAULT_CAPABILITIES) - dropped) | added
    return tuple(c for c in CAPABILITIES if c in base)


def _names(names: Iterable[str]) -> set[str]:
    found = {n.upper().removeprefix("CAP_") for n in names}
    for name in found - {"ALL", *CAPABILITIES}:
        raise RuntimeFailure(f"unknown capability: {name}", hint=_nearest(name))
    return found


def _nearest(name: str) -> str | None:
    from difflib import get_close_matches

    close = get_close_matches(name, CAPABILITIES, n=1)
    return f"did you mean {close[0]}?" if close else "capabilities(7) lists them all"


@cache
def capability_mask(names: tuple[str, ...]) -> int:
    """The bits of capability names without ``CAP_``."""
    return sum(1 << CAPABILITIES.index(n) for n in names)


_IPC_SYSCTLS = {f"kernel.{n}" for n in ("msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced")}


def check_sysctl(name: str, *, own_network: bool, own_ipc: bool) -> None:
    """Refuse what is not namespaced: a container's sysctl may not change the host's (the kernel has no switch per container for it)."""
    if name.startswith("net."):
        _refuse_unless(own_network, name, "network_mode shares the network namespace")
    elif name in _IPC_SYSCTLS or name.startswith("fs.mqueue."):
        _refuse_unless(own_ipc, name, "ipc shares the IPC namespace")
    else:
        raise Unsupported(
            f"sysctl {name!r} is not in a separate kernel namespace",
            hint="only net.*, fs.mqueue.* and the kernel.msg*, kernel.sem and kernel.shm* of IPC can be set per container; set others on the host",
        )


def _refuse_unless(own: bool, name: str, why: str) -> None:
    if not own:
        raise Unsupported(f"sysctl {name!r} is not allowed here: {why}", hint="set it on the container or host that owns the namespace")
