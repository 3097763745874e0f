"""The command line: click commands that are imported only when used. Runs in the process the user started.

``main`` is the installed program; everything it needs is imported behind it, so that asking for one command pays for one command.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys

_COLLECT_EVERY = 100_000


def main() -> None:
    """Run one command and end the process with its exit code."""
    gc.set_threshold(_COLLECT_EVERY)  # importing makes many objects and no garbage: looking for some costs a tenth of a command's time
    from compose.cli import quick

    done = quick.answered(sys.argv[1:])
    if done is not None:
        quick.leave(done)
    from compose.cli.app import run

    code = run(sys.argv[1:])
    atexit.register(_leave, code)
    sys.exit(code)


def _leave(code: int) -> None:
    """End without taking the interpreter apart: the kernel frees everything at once, Python needs 20 ms for it."""
    from compose.cli import output

    output.finish()
    os._exit(code)
