"""What ps(1) shows of a process, changed in place: the kernel reads the command line from the process's own memory (proc_pid_cmdline(5))."""

from __future__ import annotations

import ctypes


def set_title(text: str, name: str) -> None:
    """Show ``text``, cut to the length of the arguments the process was started with, as the command line, and ``name`` (15 bytes) as the command."""
    with open("/proc/self/stat", "rb") as file:
        fields = file.read().rpartition(b") ")[2].split()
    start, end = int(fields[45]), int(fields[46])  # arg_start and arg_end, fields 48 and 49 of proc_pid_stat(5)
    if 0 < start < end:
        ctypes.memset(start, 0, end - start)
        ctypes.memmove(start, text.encode()[: end - start - 1], len(text.encode()[: end - start - 1]))
    with open("/proc/self/comm", "w") as file:
        file.write(name)
