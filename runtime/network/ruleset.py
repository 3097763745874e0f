"""The two nftables tables of ours, in nft(8)'s own language: chains and rules that never change, sets and maps that networks and ports fill.

Table ``inet``: publishing (DNAT), masquerading and isolation. Table ``bridge``: ``enable_icc=false``, made when the first such network is. Every
decision hangs on set membership, so a network or port is an element, never a rule, and a packet pays for a few lookups however many there are.
"""

from __future__ import annotations

from hashlib import sha256

DEFAULT_RUN = "/run/pycompose"

# moved: gateways where port 53 is another server's, so that ours has the second port (resolver.SECOND_PORT).
# Elements by set: bridges (all of ours), same (bridge . bridge), internal, no_icc; subnets (all), masquerade (those that may go out);
# ports (protocol . port), ports_at (host address . protocol . port); links (from . to . protocol . port) that icc=false lets through.
INET = """
add set inet T bridges { type ifname; }
add set inet T same { type ifname . ifname; }
add set inet T internal { type ifname; }
add set inet T no_icc { type ifname; }
add set inet T subnets4 { type ipv4_addr; flags interval; }
add set inet T subnets6 { type ipv6_addr; flags interval; }
add set inet T masquerade4 { type ipv4_addr; flags interval; }
add set inet T masquerade6 { type ipv6_addr; flags interval; }
add set inet T links4 { type ipv4_addr . ipv4_addr . inet_proto . inet_service; }
add set inet T links6 { type ipv6_addr . ipv6_addr . inet_proto . inet_service; }
add set inet T moved4 { type ipv4_addr; }
add set inet T moved6 { type ipv6_addr; }
add map inet T ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
add map inet T ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
add map inet T ports_at4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
add map inet T ports_at6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }

add chain inet T raw { type filter hook prerouting priority raw; policy accept; }
add chain inet T prerouting { type nat hook prerouting priority dstnat; policy accept; }
add chain inet T output { type nat hook output priority -100; policy accept; }
add chain inet T postrouting { type nat hook postrouting priority srcnat; policy accept; }
add chain inet T forward { type filter hook forward priority filter; policy accept; }
add chain inet T publish
add chain inet T same_bridge

add rule inet T raw iifname @bridges ip daddr 127.0.0.0/8 drop comment "route_localnet is for the host alone"
add rule inet T raw iifname != @bridges iifname != "lo" ip daddr @subnets4 meta l4proto { tcp, udp } th dport { 53, 10053 } drop comment "not for others"
add rule inet T raw iifname != @bridges iifname != "lo" ip6 daddr @subnets6 meta l4proto { tcp, udp } th dport { 53, 10053 } drop

add rule inet T prerouting iifname @bridges ip daddr @moved4 meta l4proto { tcp, udp } th dport 53 redirect to :10053
add rule inet T prerouting iifname @bridges ip6 daddr @moved6 meta l4proto { tcp, udp } th dport 53 redirect to :10053
add rule inet T prerouting iifname @bridges ip daddr @subnets4 meta l4proto { tcp, udp } th dport 53 accept comment "ours, though 53 be published"
add rule inet T prerouting iifname @bridges ip6 daddr @subnets6 meta l4proto { tcp, udp } th dport 53 accept
add rule inet T prerouting fib daddr type local jump publish
add rule inet T output ip6 daddr ::1 accept comment "IPv6 has no route_localnet: let it be refused, clients go on to 127.0.0.1"
add rule inet T output fib daddr type local jump publish
add rule inet T publish dnat ip to ip daddr . meta l4proto . th dport map @ports_at4
add rule inet T publish dnat ip to meta l4proto . th dport map @ports4
add rule inet T publish dnat ip6 to ip6 daddr . meta l4proto . th dport map @ports_at6
add rule inet T publish dnat ip6 to meta l4proto . th dport map @ports6

add rule inet T postrouting oifname @bridges ct status dnat fib saddr type local masquerade comment "the host itself, 127.0.0.1 too"
add rule inet T postrouting oifname @bridges ct status dnat ip saddr @subnets4 masquerade comment "hairpin"
add rule inet T postrouting oifname @bridges ct status dnat ip6 saddr @subnets6 masquerade
add rule inet T postrouting oifname != @bridges ip saddr @masquerade4 masquerade
add rule inet T postrouting oifname != @bridges ip6 saddr @masquerade6 masquerade

add rule inet T forward iifname != @bridges oifname != @bridges accept
add rule inet T forward iifname . oifname @same goto same_bridge
add rule inet T forward iifname @internal drop
add rule inet T forward oifname @internal drop
add rule inet T forward ct state established,related accept
add rule inet T forward oifname @bridges ct status dnat accept comment "published"
add rule inet T forward oifname @bridges drop comment "networks are islands"

add rule inet T same_bridge iifname != @no_icc accept
add rule inet T same_bridge ct state established,related accept
add rule inet T same_bridge ct status dnat accept
add rule inet T same_bridge ip saddr . ip daddr . meta l4proto . th dport @links4 accept
add rule inet T same_bridge ip6 saddr . ip6 daddr . meta l4proto . th dport @links6 accept
add rule inet T same_bridge meta l4proto ipv6-icmp icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
add rule inet T same_bridge drop
"""

# Replies to links are matched by the reversed tuple: connection tracking of bridged frames is missing in many kernels.
BRIDGE = """
add set bridge T isolated { type ifname; }
add set bridge T links4 { type ipv4_addr . ipv4_addr . inet_proto . inet_service; }
add set bridge T links6 { type ipv6_addr . ipv6_addr . inet_proto . inet_service; }
add chain bridge T forward { type filter hook forward priority filter; policy accept; }
add chain bridge T isolation
add rule bridge T forward iifname @isolated oifname @isolated goto isolation
add rule bridge T isolation ip saddr . ip daddr . meta l4proto . th dport @links4 accept
add rule bridge T isolation ip daddr . ip saddr . meta l4proto . th sport @links4 accept
add rule bridge T isolation ip6 saddr . ip6 daddr . meta l4proto . th dport @links6 accept
add rule bridge T isolation ip6 daddr . ip6 saddr . meta l4proto . th sport @links6 accept
add rule bridge T isolation ether type arp accept
add rule bridge T isolation icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept
add rule bridge T isolation drop
"""

TEXTS = {"inet": INET, "bridge": BRIDGE}


def table_name(run: str) -> str:
    """The tables' name: ``pycompose``, with a hash of the run directory when it is not the usual one, so that instances do not meet."""
    return "pycompose" if run == DEFAULT_RUN else f"pycompose_{sha256(run.encode()).hexdigest()[:8]}"


def creation(family: str, table: str) -> str:
    """Commands that make a table of ours from nothing. An empty chain named after the text's hash says which text it was."""
    lines = [f"add table {family} {table}", f"add chain {family} {table} {version(family)}"]
    for line in TEXTS[family].splitlines():
        if line:
            verb, kind, _, _, rest = line.split(" ", 4)
            lines.append(f"{verb} {kind} {family} {table} {rest}")
    return "\n".join(lines)


def version(family: str) -> str:
    """The name of the chain that tells one ruleset from the next."""
    return f"ruleset_{sha256(TEXTS[family].encode()).hexdigest()[:8]}"
