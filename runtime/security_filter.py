"""Seccomp programs: made from a profile and a capability set, kept as a file, loaded by every child that needs them. In the engine and the container child.

Profiles are JSON in Docker's format (``docs.docker.com/engine/security/seccomp``); the default one is ``profiles/seccomp.json``.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from runtime.bundle import Confinement
from runtime.errors import KernelError, LaunchError, Unsupported
from runtime.store import read_file

if TYPE_CHECKING:
    from runtime.native.seccomp import Comparison, Rule

Json: TypeAlias = "bool | int | str | list[Json] | dict[str, Json] | None"

_ARCHES = {"x86_64": ("amd64", ("x86", "x32")), "aarch64": ("arm64", ("arm",)), "riscv64": ("riscv64", ())}
_ENOSYS = 38
_ERRNO = 0x00050000
_X32 = 0x40000000

# System calls that an installed libseccomp may be too old to know by name. Since number 424 all architectures count alike.
_NEWER_NAMES = (
    "landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret process_mrelease futex_waitv set_mempolicy_home_node "
    "cachestat fchmodat2 map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount lsm_get_self_attr lsm_set_self_attr "
    "lsm_list_modules mseal setxattrat getxattrat listxattrat removexattrat"
)
_NEWER = {name: number for number, name in enumerate(_NEWER_NAMES.split(), 444)}
_LAST = max(_NEWER.values())


def load_filter(confinement: Confinement, warn: Callable[[str], None]) -> bytes:
    """The program of a confinement, compiled and cached when it is not there yet; empty when it wants none, or (with a warning) without libseccomp."""
    if not confinement.seccomp_filter:
        return b""
    cached = _read(confinement.seccomp_filter)
    if cached and len(cached) % 8 == 0:
        return cached
    try:
        program = compile_profile(confinement.seccomp_profile, confinement.capabilities)
    except Unsupported as error:
        warn(f"running without a seccomp filter: {error.message} ({error.hint})")
        return b""
    _keep(confinement.seccomp_filter, program)
    return program


def _read(path: str) -> bytes:
    """The file by plain read(2): a file object costs a child 0.1 ms."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        return os.read(descriptor, 1 << 20)
    finally:
        os.close(descriptor)


def _keep(path: str, program: bytes) -> None:
    """Write the file whole. Every first process of a container has pid 1, so the temporary name needs more than that."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    temporary = f"{path}.{os.urandom(8).hex()}"
    with open(temporary, "wb") as file:
        file.write(program)
    os.replace(temporary, path)


def compile_profile(profile: str, capabilities: Sequence[str], machine: str = "") -> bytes:
    """The BPF program of a profile's JSON text ("" is the default profile) for a container with these capabilities.

    Raises LaunchError when the profile is malformed, Unsupported without libseccomp.
    """
    from runtime.native import seccomp

    machine = machine or os.uname().machine
    arch, further = _ARCHES.get(machine, (machine, ()))
    data = _parse(profile)
    try:
        default = _action(data, "defaultAction", "defaultErrnoRet")
        rules = [r for row in _rows(data) if _applies(row, arch, capabilities) for r in _rules(row)]
        body, unknown = seccomp.compile_rules(default, further, rules)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise LaunchError(
            "seccomp", f"seccomp profile: {type(error).__name__}: {error}", hint="it must be JSON in Docker's format"
        ) from None
    except KernelError as error:
        raise LaunchError("seccomp", f"seccomp profile: {error.message}", errno=error.errno) from None
    newer = {_NEWER[r.name]: r.action for r in unknown if r.name in _NEWER and not r.comparisons}
    return _prefix(newer, default) + body


def _parse(profile: str) -> Mapping[str, Json]:
    if not profile:
        path = f"{os.path.dirname(os.path.abspath(__file__))}/profiles/seccomp.json"
        profile = (read_file(path) or b"").decode()
    try:
        data = json.loads(profile)
    except ValueError as error:
        raise LaunchError("seccomp", f"seccomp profile: {error}", hint="it must be JSON in Docker's format") from None
    if not isinstance(data, dict):
        raise LaunchError("seccomp", "seccomp profile: not an object", hint="it must be JSON in Docker's format")
    return data


def _rows(data: Mapping[str, Json]) -> list[dict[str, Json]]:
    rows = data.get("syscalls")
    return [r for r in rows if isinstance(r, dict)] if isinstance(rows, list) else []


def _action(row: Mapping[str, Json], key: str, errno_key: str) -> int:
    from runtime.native.seccomp import ACTIONS

    name, number = str(row[key]), row.get(errno_key)
    if name not in ACTIONS:
        raise ValueError(f"unknown action {name}")
    data = number if isinstance(number, int) else 1
    return ACTIONS[name] | (data if name in ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE") else 0)


def _applies(row: Mapping[str, Json], arch: str, capabilities: Sequence[str]) -> bool:
    """Whether the row is for this architecture, capability set and kernel."""
    includes, excludes = _conditions(row, "includes"), _conditions(row, "excludes")
    held = {f"CAP_{c}" for c in capabilities}
    if includes["arches"] and arch not in includes["arches"]:
        return False
    if not set(includes["caps"]) <= held or not _kernel_at_least(includes["minKernel"]):
        return False
    return arch not in excludes["arches"] and not set(excludes["caps"]) & held


def _conditions(row: Mapping[str, Json], key: str) -> dict[str, list[str]]:
    found = row.get(key)
    table = found if isinstance(found, dict) else {}
    minimum = table.get("minKernel")
    lists = {k: [str(v) for v in values] if isinstance(values := table.get(k), list) else [] for k in ("arches", "caps")}
    return {**lists, "minKernel": [str(minimum)] if minimum else []}


def _kernel_at_least(versions: Sequence[str]) -> bool:
    release = os.uname().release.split(".")
    running = (int(release[0]), int("".join(c for c in release[1] if c.isdigit()) or 0))
    return all(running >= tuple(int(p) for p in v.split(".")[:2]) for v in versions)


def _rules(row: Mapping[str, Json]) -> list[Rule]:
    from runtime.native import seccomp

    action = _action(row, "action", "errnoRet")
    names = row.get("names") or [row["name"]]
    arguments = row.get("args") or []
    if not isinstance(names, list) or not isinstance(arguments, list):
        raise TypeError("names and args must be lists")
    comparisons = tuple(_comparison(a) for a in arguments)
    # Two conditions on one argument are alternatives here (libseccomp takes one per argument), as runc does it.
    if len({c.index for c in comparisons}) < len(comparisons):
        return [seccomp.Rule(str(n), action, (c,)) for n in names for c in comparisons]
    return [seccomp.Rule(str(n), action, comparisons) for n in names]


def _comparison(row: Json) -> Comparison:
    from runtime.native import seccomp

    if not isinstance(row, dict):
        raise TypeError("args must be objects")
    numbers = {k: v if isinstance(v := row.get(k), int) else 0 for k in ("index", "value", "valueTwo")}
    return seccomp.Comparison(numbers["index"], seccomp.OPERATORS[str(row["op"])], numbers["value"], numbers["valueTwo"])


def _prefix(newer: Mapping[int, int], default: int) -> bytes:
    """Instructions in front: system calls that libseccomp does not know yet, and ENOSYS for those that nobody knows yet.

    A refusal by EPERM would tell a new C library that the call exists and is forbidden, and it would not fall back to the old one.
    """
    load_number, jump_equal, jump_greater, answer = 0x20, 0x15, 0x25, 0x06
    rows = [(jump_equal, number, action) for number, action in newer.items()]
    rows += [(jump_greater, _LAST, _ERRNO | _ENOSYS)] if default != 0x7FFF0000 else []
    body = [struct.pack("=HBBI", code, 0, 1, value) + struct.pack("=HBBI", answer, 0, 0, action) for code, value, action in rows]
    # The x32 numbers have a bit of their own: leave them to libseccomp's part.
    skip = struct.pack("=HBBI", 0x35, 2 * len(body), 0, _X32)
    return struct.pack("=HBBI", load_number, 0, 0, 0) + skip + b"".join(body)
