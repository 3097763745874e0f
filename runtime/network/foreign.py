"""Other programs' firewalls that drop what they do not know: Docker and ufw set the ``filter`` table's FORWARD policy to DROP. Stdlib and libnftables.

An accept in our table does not overrule a drop in another (nft(8), "verdict statements"), so our bridges are accepted there too: in DOCKER-USER,
which Docker keeps for that, else at the top of FORWARD. Rules are written so that iptables shows them as its own, and go with their bridge.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from runtime.errors import RuntimeFailure
from runtime.native.nftables import Nftables

_CHAINS = ("DOCKER-USER", "FORWARD")
HANDLED = ("ip filter FORWARD", "ip6 filter FORWARD")  # chains that are opened for our bridges
_DIRECTIONS = ("iifname", "oifname")


def reconcile(nft: Nftables, ours: Iterable[str], wanted: Iterable[str]) -> None:
    """Make the accepting rules of bridges in ``ours`` be those of ``wanted``, where the kernel's filter tables drop by default."""
    ours, wanted = set(ours), set(wanted)
    if not ours:
        return
    chains = [o["chain"] for o in nft.run("list chains")]
    for family in ("ip", "ip6"):
        _reconcile_nft(nft, family, [c for c in chains if c["family"] == family and c["table"] == "filter"], ours, wanted)
        _reconcile_legacy(family, ours, wanted)


def dropping(nft: Nftables, hook: str) -> list[str]:
    """Base chains of others on ``hook`` whose policy is drop, as ``family table chain``."""
    chains = [o["chain"] for o in nft.run("list chains")]
    found = [c for c in chains if c.get("hook") == hook and c.get("policy") == "drop"]
    return [f"{c['family']} {c['table']} {c['name']}" for c in found]


def _reconcile_nft(nft: Nftables, family: str, chains: list[dict[str, Any]], ours: set[str], wanted: set[str]) -> None:
    names = [n for n in _CHAINS if any(c["name"] == n for c in chains)]
    drops = any(c["name"] == "FORWARD" and c.get("policy") == "drop" for c in chains)
    present = {name: _accepts(nft, family, name, ours) for name in names}
    have = {rule for rules in present.values() for rule in rules}
    lines = [f"delete rule {family} filter {n} handle {h}" for n in names for (b, _), h in present[n].items() if b not in wanted]
    if drops:
        missing = [(b, d) for b in sorted(wanted) for d in _DIRECTIONS if (b, d) not in have]
        lines += [f'insert rule {family} filter {names[0]} {direction} "{bridge}" counter accept' for bridge, direction in missing]
    if lines:
        nft.run("\n".join(lines))


def _accepts(nft: Nftables, family: str, chain: str, ours: set[str]) -> dict[tuple[str, str], int]:
    """(bridge, direction) → handle of the chain's rules that are no more than "this bridge: accept"."""
    found: dict[tuple[str, str], int] = {}
    for item in nft.run(f"list chain {family} filter {chain}"):
        if rule := item.get("rule"):
            parts = [e for e in rule["expr"] if "counter" not in e]
            if len(parts) == 2 and "accept" in parts[1] and "match" in parts[0]:
                match = parts[0]["match"]
                key = match["left"].get("meta", {}).get("key") if isinstance(match["left"], dict) else None
                if match["op"] == "==" and key in _DIRECTIONS and match["right"] in ours:
                    found[match["right"], key] = rule["handle"]
    return found


def _reconcile_legacy(family: str, ours: set[str], wanted: set[str]) -> None:
    """The same for the x_tables of old, which only their own program can change; nothing where they are not in use."""
    if not legacy_in_use(family):
        return
    listed = _legacy(family, "-S")
    name = "DOCKER-USER" if "-N DOCKER-USER" in listed else "FORWARD"
    for bridge in sorted(ours):
        for flag in ("-i", "-o"):
            rule = ["-j", "ACCEPT"]
            for chain in _CHAINS:
                if bridge not in wanted and f"-A {chain} {flag} {bridge} -j ACCEPT" in listed:
                    _legacy(family, "-D", chain, flag, bridge, *rule)
            there = any(f"-A {chain} {flag} {bridge} -j ACCEPT" in listed for chain in _CHAINS)
            if bridge in wanted and "-P FORWARD DROP" in listed and not there:
                _legacy(family, "-I", name, flag, bridge, *rule)


def legacy_in_use(family: str) -> bool:
    """Whether this network namespace has a legacy ``filter`` table (reading the list loads nothing)."""
    try:
        with open(f"/proc/thread-self/net/{family}_tables_names") as file:
            return "filter" in file.read().split()
    except OSError:
        return False


def legacy_program(family: str) -> str | None:
    """The path of iptables-legacy or ip6tables-legacy."""
    import shutil

    return shutil.which(f"{family}tables-legacy", path="/usr/sbin:/sbin:/usr/bin:/usr/local/sbin")


def _legacy(family: str, *arguments: str) -> list[str]:
    import subprocess

    path = legacy_program(family)
    if path is None:
        return []
    done = subprocess.run([path, "-w", "5", *arguments], capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise RuntimeFailure(f"{path}: {done.stderr.strip()}", hint="run pycompose doctor")
    return done.stdout.splitlines()
