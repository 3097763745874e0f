"""Removing a container that removes itself (``run --rm -d``), and the port rules of one that ended. In short-lived forks of the worker.

The same steps as the engine's ``remove_container``, without a networker: what is left of the network is a mount and rules.
"""

from __future__ import annotations

import contextlib
import os

from runtime import store
from runtime.errors import KernelError
from runtime.native import syscalls
from runtime.store import Paths, entries, read_file, remove_file
from runtime.supervisor.facts import Facts
from runtime.trees import remove_tree


def unpublish(paths: Paths, facts: Facts, publication: bytes) -> None:
    """Take the port rules of the ``publication`` that was in force away; a command may have published anew meanwhile, to start it again."""
    from runtime.network import elements
    from runtime.network.firewall import Firewall

    def change(present: elements.Elements) -> None:
        if store.publication(facts.directory) == publication:
            elements.unpublish(facts.id)(present)

    Firewall(paths.run).apply([change])


def move_nameserver(paths: Paths, network: str, gateway: str) -> None:
    """Send a network's questions to the second port on its gateway."""
    from runtime.network import elements
    from runtime.network.firewall import Firewall

    Firewall(paths.run).apply([elements.move_nameserver(network, gateway)])


def remove(paths: Paths, project: str, facts: Facts) -> None:
    """Delete the ended container: rules, leases, namespace, files, anonymous volumes, and the project when it was the last."""
    if facts.ports:
        unpublish(paths, facts, store.publication(facts.directory))
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
    _delete_project_if_empty(paths.project(project))


def _delete_project_if_empty(directory: str) -> None:
    """By rmdir(2), which knows better than a look beforehand: a container may be made this very moment."""
    with contextlib.suppress(OSError):
        os.rmdir(f"{directory}/containers")
        for name in entries(directory):
            remove_file(f"{directory}/{name}")
        os.rmdir(directory)


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
