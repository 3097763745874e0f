"""The command line: click commands that are imported only when used. Runs in the process the user started.

``main`` is the installed program; everything it needs is imported behind it, so that asking for one command pays for one command.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Run one command and end the process with its exit code."""
    from compose.cli.app import run

    sys.exit(run(sys.argv[1:]))
