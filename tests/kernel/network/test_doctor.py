from __future__ import annotations

import os

import pytest

from runtime.native import nftables
from runtime.network import doctor

pytestmark = pytest.mark.root


def _found():
    return {c.name: c for c in doctor.checks()}


def test_a_sound_host(lab):
    links, rules = lab.run("", "ip", "link"), lab.run("", "nft", "list", "ruleset")
    found = _found()
    assert [c for c in found.values() if not c.ok] == []
    assert all(not c.hint for c in found.values())
    assert found["uplink"].detail == "uplink, MTU 1400"
    assert "off; the first network" in found["ip_forward"].detail
    assert (lab.run("", "ip", "link"), lab.run("", "nft", "list", "ruleset")) == (links, rules)


def test_other_firewalls_are_named(lab):
    nft = nftables.Nftables()
    nft.run("add table ip filter\nadd chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }")
    found = _found()
    assert found["forwarding by other firewalls"].ok
    assert "our bridges are accepted there" in found["forwarding by other firewalls"].detail
    nft.run("add table inet mine\nadd chain inet mine passing { type filter hook forward priority 0; policy drop; }")
    nft.run("add chain inet mine entering { type filter hook input priority 0; policy drop; }")
    found = _found()
    assert not found["forwarding by other firewalls"].ok
    assert "inet mine passing" in found["forwarding by other firewalls"].hint
    assert "nft insert rule inet mine entering" in found["name lookups by containers"].hint


def test_what_is_missing_is_said(lab, monkeypatch):
    monkeypatch.setattr(nftables, "load", lambda: None)
    assert "without libnftables" in _found()["nftables"].detail
    monkeypatch.setattr(nftables, "program", lambda: None)
    found = _found()
    assert not found["nftables"].ok
    assert found["nftables"].hint == "apt-get install nftables"
    assert not found["firewall rules"].ok
    assert found["bridge links"].ok


def test_without_privileges(lab):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setuid(65534)
            os.write(writer, repr([(c.name, c.ok, c.hint) for c in doctor.checks()]).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader) as file:
        found = {name: (ok, hint) for name, ok, hint in eval(file.read())}
    os.waitpid(child, 0)
    assert found["network privileges"] == (False, "run as root")
    assert "bridge links" not in found
