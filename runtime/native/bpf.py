"""bpf(2): loading a program and attaching it to a cgroup. In the supervisor and the image builder."""

from __future__ import annotations

import ctypes
import struct

from runtime.native.syscalls import bpf

_PROG_LOAD, _PROG_ATTACH = 5, 8


def prog_load(kind: int, instructions: bytes, license_text: bytes, name: bytes) -> int:
    """BPF_PROG_LOAD: a descriptor of the program. ``instructions`` are 8 bytes each; ``name`` at most 15 bytes. Raises KernelError."""
    code, text = ctypes.create_string_buffer(instructions, len(instructions)), ctypes.create_string_buffer(license_text)
    count = len(instructions) // 8
    return bpf(_PROG_LOAD, struct.pack("=IIQQIIQII16s", kind, count, ctypes.addressof(code), ctypes.addressof(text), 0, 0, 0, 0, 0, name))


def prog_attach(target: int, program: int, kind: int, flags: int) -> None:
    """BPF_PROG_ATTACH: ``program`` on the cgroup that ``target`` is open on. Raises KernelError."""
    bpf(_PROG_ATTACH, struct.pack("=IIII", target, program, kind, flags))
