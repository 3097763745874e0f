"""Our part of the host's firewall: reads what is there, changes it in one transaction, removes it with the last network. Stdlib and libnftables.

Runs in the network worker; a supervisor may use it (``Firewall(run).apply([unpublish(id)])``) in a forked child when a container exits for good.
Changes come from ``runtime.network.elements``. One process at a time changes the firewall of an instance (a lock in its run directory).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from runtime.errors import RuntimeFailure
from runtime.native.nftables import Nftables
from runtime.network import conntrack, foreign, ruleset
from runtime.network.elements import Change, Element, Elements, Place, bridges, difference
from runtime.store import locked

_FAMILIES = ("inet", "bridge")


class Firewall:
    """The tables of the instance whose run directory is ``run``, in the caller's network namespace."""

    def __init__(self, run: str) -> None:
        self.table = ruleset.table_name(run)
        self._lock = f"{run}/firewall.lock"
        self._nft = Nftables()

    def apply(self, changes: Sequence[Change]) -> list[RuntimeFailure | None]:
        """Carry out the changes in order, in one transaction; per change None or why it was refused (the others are done all the same).

        Raises RuntimeFailure when the kernel refuses the whole.
        """
        with locked(self._lock):
            present, before = self._read()
            after, refusals = _changed(before, changes)
            if commands := self._commands(present, before, after):
                self._nft.run(commands)
                conntrack.forget_udp(_udp_ports(before, after))
            foreign.reconcile(self._nft, bridges(before) | bridges(after), bridges(after))
        return refusals

    def elements(self) -> Elements:
        """What is in the kernel now."""
        return self._read()[1]

    def close(self) -> None:
        """Free libnftables' context."""
        self._nft.close()

    def _read(self) -> tuple[dict[str, bool], Elements]:
        """Our tables that exist (True when their rules are this version's), and every element."""
        there = [t["table"] for t in self._nft.run("list tables")]
        present: dict[str, bool] = {}
        elements: Elements = {}
        for family in _FAMILIES:
            if {"family": family, "name": self.table}.items() in [{k: t[k] for k in ("family", "name")}.items() for t in there]:
                listed = self._nft.run(f"list table {family} {self.table}")
                present[family] = any(o.get("chain", {}).get("name") == ruleset.version(family) for o in listed)
                elements.update(_parsed(family, listed))
        return present, elements

    def _commands(self, present: dict[str, bool], before: Elements, after: Elements) -> str:
        """The transaction: missing tables made, outdated ones made anew with all their elements, unused ones deleted."""
        lines: list[str] = []
        for family in _FAMILIES:
            old, new = _of(family, before), _of(family, after)
            if family in present and (not new or not present[family]):
                lines.append(f"delete table {family} {self.table}")
            if new and not present.get(family):
                lines.append(ruleset.creation(family, self.table))
                old = {}
            gone, added = difference(old, new)
            if new:
                lines += [self._line("delete", *one) for one in gone]
            lines += [self._line("add", *one) for one in added]
        return "\n".join(lines)

    def _line(self, verb: str, place: Place, element: Element) -> str:
        key = " . ".join(_quoted(place, part) for part in place.key)
        value = f" : {' . '.join(element.value)}" if element.value and verb == "add" else ""
        comment = f' comment "{element.owner}"' if verb == "add" else ""
        return f"{verb} element {place.family} {self.table} {place.name} {{ {key}{comment}{value} }}"


def _changed(before: Elements, changes: Iterable[Change]) -> tuple[Elements, list[RuntimeFailure | None]]:
    after, refusals = before, list[RuntimeFailure | None]()
    for change in changes:
        attempt = dict(after)
        try:
            change(attempt)
        except RuntimeFailure as failure:
            refusals.append(failure)
        else:
            after = attempt
            refusals.append(None)
    return after, refusals


def _udp_ports(before: Elements, after: Elements) -> set[int]:
    """Published UDP ports that lead elsewhere now."""
    gone, new = difference(before, after)
    return {int(place.key[-1]) for place, _ in (*gone, *new) if place.name.startswith("ports") and place.key[-2] == "udp"}


def _of(family: str, elements: Elements) -> Elements:
    return {p: e for p, e in elements.items() if p.family == family}


def _parsed(family: str, listed: Iterable[dict[str, Any]]) -> Elements:
    found: Elements = {}
    for item in listed:
        stored = item.get("set") or item.get("map") or {}
        for entry in stored.get("elem", ()):
            key, value = entry if isinstance(entry, list) else (entry, None)
            inner = key["elem"] if isinstance(key, dict) and "elem" in key else {"val": key}
            found[Place(family, stored["name"], _parts(inner["val"]))] = Element(inner.get("comment", ""), _parts(value) if value else ())
    return found


def _parts(value: Any) -> tuple[str, ...]:
    if isinstance(value, dict) and "concat" in value:
        return tuple(str(part) for part in value["concat"])
    if isinstance(value, dict) and "prefix" in value:
        return (f"{value['prefix']['addr']}/{value['prefix']['len']}",)
    return (str(value),)


def _quoted(place: Place, part: str) -> str:
    return f'"{part}"' if place.name in ("bridges", "same", "internal", "no_icc", "isolated") else part
