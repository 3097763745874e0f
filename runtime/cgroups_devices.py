"""Device rules for cgroup v2: the allow-list as a small BPF program on the cgroup (bpf(2), BPF_PROG_TYPE_CGROUP_DEVICE). In the supervisor and builder."""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

from runtime.errors import KernelError, LaunchError
from runtime.native.bpf import prog_attach, prog_load

_TYPE_CGROUP_DEVICE, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI = 15, 6, 2
_ACCESS = {"m": 1, "r": 2, "w": 4}
_TYPES = {"b": 1, "c": 2}

# struct bpf_insn opcodes
_LOAD_WORD, _AND, _SHIFT_RIGHT, _MOVE, _MOVE_REGISTER, _EXIT = 0x61, 0x54, 0x74, 0xB4, 0xBC, 0x95
_JUMP_NOT_EQUAL, _JUMP_NOT_EQUAL_REGISTER = 0x55, 0x5D


def _instruction(code: int, target: int = 0, source: int = 0, offset: int = 0, value: int = 0) -> bytes:
    return struct.pack("=BBhi", code, target | source << 4, offset, value)


def program(rules: Sequence[str]) -> bytes:
    """The program for rules such as "c 10:229 rwm" ("*" for any number, "a" for any device): allow what one of them covers, refuse the rest."""
    head = [
        _instruction(_LOAD_WORD, 2, 1, 0),  # r2: type in the low half, access in the high half
        _instruction(_MOVE_REGISTER, 3, 2),
        _instruction(_AND, 2, value=0xFFFF),
        _instruction(_SHIFT_RIGHT, 3, value=16),
        _instruction(_LOAD_WORD, 4, 1, 4),  # r4: major
        _instruction(_LOAD_WORD, 5, 1, 8),  # r5: minor
    ]
    refuse = [_instruction(_MOVE, 0, value=0), _instruction(_EXIT)]
    return b"".join([*head, *(i for rule in rules for i in _rule(rule)), *refuse])


def _rule(rule: str) -> list[bytes]:
    kind, _, rest = rule.partition(" ")
    numbers, _, permissions = rest.partition(" ")
    major, _, minor = numbers.partition(":")
    tests = [] if kind == "a" else [(2, _TYPES[kind])]
    tests += [(4, int(major))] if major not in ("*", "") else []
    tests += [(5, int(minor))] if minor not in ("*", "") else []
    tail = [*_access(sum(_ACCESS[p] for p in set(permissions.strip() or "rwm"))), _instruction(_MOVE, 0, value=1), _instruction(_EXIT)]
    # Every test jumps over what is left of this rule when it fails.
    left = [len(tail) + len(tests) - 1 - i for i in range(len(tests))]
    return [*(_instruction(_JUMP_NOT_EQUAL, r, offset=o, value=v) for (r, v), o in zip(tests, left, strict=True)), *tail]


def _access(mask: int) -> list[bytes]:
    """Go on only when everything asked for (r3) is in ``mask``; else jump over the two instructions that allow."""
    if mask == 7:
        return []
    narrowed = [_instruction(_MOVE_REGISTER, 1, 3), _instruction(_AND, 1, value=mask)]
    return [*narrowed, _instruction(_JUMP_NOT_EQUAL_REGISTER, 1, 3, offset=2)]


def attach(directory: str, rules: Sequence[str]) -> None:
    """Load the program and attach it to the cgroup ``directory``; it lives as long as the cgroup. Raises LaunchError when the kernel cannot."""
    cgroup = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        loaded = prog_load(_TYPE_CGROUP_DEVICE, program(rules), b"Apache-2.0", b"devices")
        try:
            prog_attach(cgroup, loaded, _ATTACH_CGROUP_DEVICE, _ALLOW_MULTI)
        finally:
            os.close(loaded)
    except KernelError as error:
        hint = "the kernel needs CONFIG_CGROUP_BPF and the engine CAP_SYS_ADMIN for device rules on cgroup v2"
        raise LaunchError("cgroup", f"device rules: {error.message}", errno=error.errno, hint=hint) from None
    finally:
        os.close(cgroup)
