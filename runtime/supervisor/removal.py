"""Removing a container that removes itself (``run --rm -d``), and the port rules of one that ended. In short-lived forks of the worker.

The same steps as the engine's ``remove_container``, without a networker: what is left of the network is a mount and rules.
"""

from __future__ import annotations

import contextlib
import os

from runtime.errors import KernelError
from runtime.native import syscalls
from runtime.store import Paths, entries, read_file, remove_file
from runtime.supervisor.facts import Facts
from runtime.trees import remove_tree


def unpublish(paths: Paths, facts: Facts) -> None:
    """Take the container's port rules away."""
    from runtime.network import elements
    from runtime.network.firewall import Firewall

    Firewall(paths.run).apply([elements.unpublish(facts.id)])


def remove(paths: Paths, project: str, facts: Facts) -> None:
    """Delete the ended container: rules, leases, namespace, files, anonymous volumes, and the project when it was the last."""
    if facts.ports:
        unpublish(paths, facts)
    for endpoint in facts.endpoints:
        _release(f"{paths.networks}/{endpoint.network}/leases", facts.id)
    with contextlib.suppress(KernelError):
        syscalls.umount2(paths.netns(facts.id), syscalls.MNT_DETACH)
    remove_file(paths.netns(facts.id))
    name = f"{paths.root}/names/{facts.name}"
    if (read_file(name) or b"").decode() == facts.id:
        remove_file(name)
    for volume in facts.anonymous:
        _delete(f"{paths.volumes}/{volume}")
    _delete(facts.directory)  # the last, so that a removal cut short is seen and done again
    if not entries(f"{paths.project(project)}/containers"):
        remove_tree(paths.project(project))


def _release(leases: str, container_id: str) -> None:
    for address in entries(leases):
        if (read_file(f"{leases}/{address}") or b"").decode() == container_id:
            remove_file(f"{leases}/{address}")


def _delete(directory: str) -> None:
    """Delete as one step for whoever looks: renamed aside first."""
    parent, name = os.path.split(directory)
    aside = f"{parent}/.removing-{name}"
    remove_tree(aside)
    with contextlib.suppress(FileNotFoundError):
        os.rename(directory, aside)
        remove_tree(aside)
