"""Deleting directory trees that are ours alone: containers, volumes, projects. In any process; stdlib only, and not ``shutil``, which takes its
compression libraries along.

Nobody else may be writing into the tree: it is walked by path. No symbolic link is followed.
"""

from __future__ import annotations

import contextlib
import os


def remove_tree(path: str) -> None:
    """Remove a file, or a directory with all that is in it; already gone is success. What cannot be removed is left."""
    directories = _unlinked(path)
    for directory in reversed(directories):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    if directories and os.path.lexists(path):
        _remove_by_program(path)


def _unlinked(path: str) -> list[str]:
    """Unlink every file; the directories, each after the one it is in."""
    directories: list[str] = []
    waiting = [path]
    while waiting:
        current = waiting.pop()
        try:
            found = list(os.scandir(current)) if not os.path.islink(current) else None
        except (FileNotFoundError, PermissionError):
            continue
        except OSError:  # a file, or a path too long
            found = None
        if found is None:
            with contextlib.suppress(OSError):
                os.unlink(current)
            continue
        directories.append(current)
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
                continue
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
    return directories


def _remove_by_program(path: str) -> None:
    """rm(1) walks by descriptors: trees deeper than any path may be long."""
    null = (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)
    with contextlib.suppress(FileNotFoundError):
        os.waitpid(os.posix_spawnp("rm", ["rm", "-rf", "--", path], os.environ, file_actions=[null]), 0)
