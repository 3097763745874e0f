"""What this host's network can and cannot do for containers, as data for ``pycompose doctor``. In the command's process.

What matters is tried, not guessed: a child process makes a bridge, a veth pair and every rule of ours in a network namespace of its own that
vanishes with it. The host itself is only read.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace

from runtime.errors import RuntimeFailure
from runtime.native import nftables
from runtime.network import foreign, host, resolver, ruleset
from runtime.record import dataclass

_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21  # capabilities(7)
_TRIAL_SECONDS = 20


@dataclass(frozen=True, slots=True)
class Check:
    """One question about the host: ``ok`` or not, what was found, and what to do when it is not ok."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def checks() -> tuple[Check, ...]:
    """All checks, in the order in which one would mend what is wrong. Never raises."""
    found = [_privileges(), _library()]
    if found[0].ok:
        found += _trials()
    found += [_forwarding(), _uplink(), _resolvers(), _nameserver_port()]
    if found[0].ok and found[1].ok:
        found += _others()
    return tuple(replace(c, hint="") if c.ok else c for c in found)


def _privileges() -> Check:
    with open("/proc/self/status") as file:
        effective = next(int(line.split()[1], 16) for line in file if line.startswith("CapEff"))
    missing = [n for n, bit in (("CAP_NET_ADMIN", _CAP_NET_ADMIN), ("CAP_SYS_ADMIN", _CAP_SYS_ADMIN)) if not effective >> bit & 1]
    return Check("network privileges", not missing, f"missing: {', '.join(missing)}" if missing else "all there", "run as root")


def _library() -> Check:
    if nftables.load() is not None:
        return Check("nftables", True, "libnftables")
    if path := nftables.program():
        return Check("nftables", True, f"{path} (without libnftables every change takes some milliseconds more)")
    return Check("nftables", False, "neither libnftables nor nft is installed", "apt-get install nftables")


def _trials() -> list[Check]:
    """The child's results; a child that dies or hangs is a failed check too."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        signal.alarm(_TRIAL_SECONDS)
        _child(writer)
    os.close(writer)
    with open(reader, "rb") as file:
        lines = file.read().splitlines()
    os.waitpid(child, 0)
    found = [Check(*json.loads(line)) for line in lines]
    return found if len(found) == len(_TRIALS) else [*found, Check("kernel features", False, "the trial died", "see dmesg")]


def _child(writer: int) -> None:
    """In the child, which ends here."""
    try:
        with open(writer, "wb") as file:
            for name, hint, trial in _TRIALS:
                file.write(json.dumps([name, *_tried(trial), hint]).encode() + b"\n")
    finally:
        os._exit(0)


def _tried(trial: Callable[[], None]) -> tuple[bool, str]:
    try:
        trial()
    except RuntimeFailure as failure:
        return False, failure.message
    except OSError as error:
        return False, str(error.strerror)
    return True, "works"


def _namespace() -> None:
    from runtime.native import syscalls

    syscalls.unshare(syscalls.CLONE_NEWNET)


def _link(name: str, kind: str, address: str) -> None:
    from socket import if_nametoindex

    from runtime.network import messages, netlink

    route = netlink.RouteSocket()
    attributes = messages.text(messages.IFLA_IFNAME, name) + messages.kind_of_link(kind)
    route.do(messages.link(messages.NEWLINK, messages.CREATE, attributes))
    route.do(messages.address(if_nametoindex(name), address, 64 if ":" in address else 24))
    route.close()


def _rules(family: str) -> None:
    nftables.Nftables().run(ruleset.creation(family, "pycompose_trial"))


_TRIALS: tuple[tuple[str, str, Callable[[], None]], ...] = (
    ("network namespaces", "the kernel needs CONFIG_NET_NS", _namespace),
    ("bridge links", "modprobe bridge", lambda: _link("trial0", "bridge", "192.0.2.1")),
    ("veth links", "modprobe veth", lambda: _link("trial1", "veth", "192.0.2.2")),
    ("IPv6", "only networks with enable_ipv6 need it", lambda: _link("trial2", "bridge", "2001:db8::1")),
    ("firewall rules", "modprobe nft_chain_nat nft_fib_inet nft_masq nft_ct", lambda: _rules("inet")),
    ("rules between bridge ports", "only networks with enable_icc=false need it: modprobe nf_tables bridge", lambda: _rules("bridge")),
)


def _forwarding() -> Check:
    v4, v6 = _sysctl("net/ipv4/ip_forward"), _sysctl("net/ipv6/conf/all/forwarding")
    if not os.access("/proc/sys/net/ipv4/ip_forward", os.W_OK) and v4 != "1":
        return Check("ip_forward", False, "off, and /proc/sys is read-only here", "sysctl net.ipv4.ip_forward=1 on the host")
    words = {"1": "on", "0": "off; the first network that needs it switches it on"}
    return Check("ip_forward", True, f"IPv4 {words.get(v4, v4 or 'unknown')}, IPv6 {words.get(v6, v6 or 'not there')}")


def _uplink() -> Check:
    link = host.uplink()
    if link is None:
        return Check("uplink", True, "no default route: containers reach each other and this host only")
    strict = _sysctl(f"net/ipv4/conf/{link}/rp_filter") == "1" or _sysctl("net/ipv4/conf/all/rp_filter") == "1"
    note = "; strict reverse-path filter: replies must leave by the link that requests came in" if strict else ""
    return Check("uplink", True, f"{link}, MTU {host.uplink_mtu()}{note}")


def _resolvers() -> Check:
    servers = resolver.host_servers()
    return Check(
        "name servers", bool(servers), ", ".join(servers) or "none in /etc/resolv.conf", "containers will only find each other by name"
    )


def _nameserver_port() -> Check:
    """Who has port 53 of every address has it on our gateways, too."""
    taken = sorted({p for p, address, port in host.ports_in_use() if port == resolver.PORT and address in (host.ANY_V4, host.ANY_V6)})
    if not taken:
        return Check("port 53", True, "nobody has it on every address")
    instead = f"ours listens on port {resolver.SECOND_PORT} of the gateways instead"
    return Check("port 53", True, f"another server has it on every address ({', '.join(taken)}): {instead}")


def _others() -> list[Check]:
    """Firewalls beside ours that drop by default."""
    try:
        nft = nftables.Nftables()
        forward, entry = foreign.dropping(nft, "forward"), foreign.dropping(nft, "input")
        nft.close()
    except RuntimeFailure as failure:
        return [Check("other firewalls", False, failure.message, failure.hint or "")]
    unhandled = [c for c in forward if c not in foreign.HANDLED]
    handled = "; our bridges are accepted there while they exist" if len(forward) > len(unhandled) else ""
    opened = f'nft insert rule {(unhandled or ["…"])[0]} iifname "br-*" accept   (and the same for oifname)'
    asked = f'nft insert rule {(entry or ["…"])[0]} iifname "br-*" th dport 53 accept   (ufw: ufw allow in on BRIDGE to any port 53)'
    return [
        Check("forwarding by other firewalls", not unhandled, _dropping(forward) + handled, opened),
        Check("name lookups by containers", not entry, _dropping(entry), asked),
        *_legacy(),
    ]


def _dropping(chains: list[str]) -> str:
    return f"dropped by default in {', '.join(chains)}" if chains else "nobody drops by default"


def _legacy() -> list[Check]:
    used = [f for f in ("ip", "ip6") if foreign.legacy_in_use(f)]
    missing = [name for f in used if foreign.legacy_program(f) is None for name in (f"{f}tables-legacy",)]
    if not missing:
        return []
    return [Check("legacy iptables", False, f"in use, but {', '.join(missing)} is not installed", "apt-get install iptables")]


def _sysctl(path: str) -> str:
    try:
        with open(f"/proc/sys/{path}") as file:
            return file.read().strip()
    except OSError:
        return ""
