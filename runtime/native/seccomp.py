"""libseccomp by ctypes: rules in, a BPF program out (seccomp_init(3), seccomp_rule_add(3), seccomp_export_bpf(3)). In the engine, or a container child.

Nothing is loaded into the calling process; the exported program is applied later by seccomp(2) without the library.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence

from runtime.errors import KernelError, Unsupported
from runtime.record import dataclass

_ATTRIBUTE_BAD_ARCH, _ATTRIBUTE_OPTIMIZE = 2, 8
_UNKNOWN = -1  # __NR_SCMP_ERROR

ACTIONS = {
    "SCMP_ACT_KILL": 0x00000000,
    "SCMP_ACT_KILL_THREAD": 0x00000000,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_LOG": 0x7FFC0000,
    "SCMP_ACT_ALLOW": 0x7FFF0000,
}
OPERATORS = {
    "SCMP_CMP_NE": 1,
    "SCMP_CMP_LT": 2,
    "SCMP_CMP_LE": 3,
    "SCMP_CMP_EQ": 4,
    "SCMP_CMP_GE": 5,
    "SCMP_CMP_GT": 6,
    "SCMP_CMP_MASKED_EQ": 7,
}


class _Comparison(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


@dataclass(frozen=True, slots=True)
class Comparison:
    """Argument ``index`` compared by ``operator`` (a value of OPERATORS) with ``value`` (and ``second``, for a masked one)."""

    index: int
    operator: int
    value: int
    second: int = 0


@dataclass(frozen=True, slots=True)
class Rule:
    """What happens to a system call whose arguments satisfy all comparisons; ``action`` includes its data (an errno)."""

    name: str
    action: int
    comparisons: tuple[Comparison, ...] = ()


def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    except OSError:
        raise Unsupported("libseccomp is not installed", hint="apt install libseccomp2, or your distribution's package of it") from None
    library.seccomp_init.restype = ctypes.c_void_p
    library.seccomp_init.argtypes = [ctypes.c_uint32]
    library.seccomp_release.argtypes = [ctypes.c_void_p]
    library.seccomp_arch_add.argtypes = [ctypes.c_void_p, ctypes.c_uint32]
    library.seccomp_arch_resolve_name.restype = ctypes.c_uint32
    library.seccomp_attr_set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_uint32]
    library.seccomp_rule_add_array.argtypes = [ctypes.c_void_p, ctypes.c_uint32, ctypes.c_int, ctypes.c_uint, ctypes.c_void_p]
    library.seccomp_export_bpf.argtypes = [ctypes.c_void_p, ctypes.c_int]
    return library


def compile_rules(default: int, architectures: Sequence[str], rules: Sequence[Rule]) -> tuple[bytes, tuple[Rule, ...]]:
    """The program, and the rules whose system calls this libseccomp does not know. ``architectures`` are further ones, as ``x86`` or ``arm``.

    Raises Unsupported without the library, KernelError when it refuses.
    """
    library = _library()
    context = library.seccomp_init(default)
    try:
        for name in architectures:
            token = library.seccomp_arch_resolve_name(name.encode())
            if token:
                library.seccomp_arch_add(context, token)
        library.seccomp_attr_set(context, _ATTRIBUTE_BAD_ARCH, default)
        library.seccomp_attr_set(context, _ATTRIBUTE_OPTIMIZE, 2)  # a binary tree of numbers; libseccomp ≥ 2.5, others refuse it
        unknown = tuple(r for r in rules if not _add(library, context, r, default))
        return _export(library, context), unknown
    finally:
        library.seccomp_release(context)


def _add(library: ctypes.CDLL, context: int, rule: Rule, default: int) -> bool:
    number = library.seccomp_syscall_resolve_name(rule.name.encode())
    if number == _UNKNOWN:
        return False
    if rule.action == default:
        return True  # libseccomp refuses a rule that changes nothing
    rows = (_Comparison * max(len(rule.comparisons), 1))(*(_Comparison(c.index, c.operator, c.value, c.second) for c in rule.comparisons))
    result = library.seccomp_rule_add_array(context, rule.action, number, len(rule.comparisons), rows)
    if result and -result not in (17, 33):  # EEXIST: a wider rule is there; EDOM: not on this architecture
        raise KernelError("seccomp_rule_add", -result, rule.name)
    return True


def _export(library: ctypes.CDLL, context: int) -> bytes:
    file = os.memfd_create("seccomp")
    try:
        result = library.seccomp_export_bpf(context, file)
        if result:
            raise KernelError("seccomp_export_bpf", -result)
        return os.pread(file, 1 << 20, 0)
    finally:
        os.close(file)
