"""Published ports: random ones, ranges over replicas, one address only, UDP, what ``port`` and ``ps`` say, and ports that are taken."""

from __future__ import annotations

import json
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, rows

pytestmark = pytest.mark.root
SERVER = "image: busybox:latest, init: true, command: httpd -f -p 80"
SLEEPER = "image: busybox:latest, init: true, command: sleep 300"


def answers(address: str, port: int) -> bool:
    """Whether a web server answers there; 404 is an answer."""
    try:
        urllib.request.urlopen(f"http://{address}:{port}", timeout=3)
    except urllib.error.HTTPError as error:
        return error.code == 404
    except OSError:
        return False
    return True


def answers_soon(address: str, port: int) -> bool:
    """The same, with a moment for the server to begin listening."""
    deadline = time.monotonic() + 5
    while not (found := answers(address, port)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def ports(pycompose: CommandLine, directory: Path) -> dict[str, list[dict[str, object]]]:
    shown = [json.loads(line) for line in pycompose(directory, "ps", "--format", "json").out.splitlines()]
    return {r["Name"].removeprefix("demo-"): r["Publishers"] for r in shown}


def test_random_ranged_local_and_udp(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  rnd: {{{SERVER}, ports: ["80"], expose: ["81"]}}
  range: {{{SERVER}, ports: ["18080-18084:80"], scale: 5}}
  local: {{{SERVER}, ports: ["127.0.0.1:18099:80", "18053:53/udp"]}}
""")
    pycompose(directory, "up", "-d")

    def port(*arguments: str, ok: bool = True) -> str:
        shown = pycompose(directory, "port", *arguments, ok=ok)
        assert (shown.code == 0) == ok
        return shown.out.strip() if ok else shown.err.splitlines()[0]

    random = port("rnd", "80")
    assert random.startswith("0.0.0.0:")
    assert answers_soon("127.0.0.1", int(random.partition(":")[2]))
    ranged = {port("--index", str(n), "range", "80") for n in range(1, 6)}
    assert ranged == {f"0.0.0.0:{n}" for n in range(18080, 18085)}
    assert all(answers_soon("127.0.0.1", n) for n in range(18080, 18085))
    assert port("local", "80") == "127.0.0.1:18099"
    assert answers_soon("127.0.0.1", 18099)
    assert port("--protocol", "udp", "local", "53") == "0.0.0.0:18053"
    assert port("local", "53", ok=False).startswith("no port 53/tcp for container demo-local-1: ")
    assert port("rnd", "81", ok=False).startswith("no port 81/tcp for container demo-rnd-1")
    assert port("--index", "9", "range", "80", ok=False) == 'service "range" is not running container #9'

    published = ports(pycompose, directory)
    assert {"URL": "127.0.0.1", "TargetPort": 80, "PublishedPort": 18099, "Protocol": "tcp"} in published["local-1"]
    assert {"URL": "::", "TargetPort": 53, "PublishedPort": 18053, "Protocol": "udp"} in published["local-1"]
    assert {"URL": "", "TargetPort": 81, "PublishedPort": 0, "Protocol": "tcp"} in published["rnd-1"]
    shown = pycompose(directory, "ps", "local").out
    assert "0.0.0.0:18053->53/udp, [::]:18053->53/udp, 127.0.0.1:18099->80/tcp" in shown

    pycompose(directory, "stop", "-t", "0", "local")
    assert not answers("127.0.0.1", 18099)
    pycompose(directory, "start", "local")
    assert answers_soon("127.0.0.1", 18099)


def test_udp_there_and_back(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    echo = "import socket; s = socket.socket(2, 2); s.bind(('', 53)); d, a = s.recvfrom(99); s.sendto(b'got ' + d, a)"
    binds = [f"{path}:{path}:ro" for path in dict.fromkeys(("/usr", "/lib", "/lib64", sys.base_prefix)) if Path(path).exists()]
    service = {"image": "busybox:latest", "ports": ["18054:53/udp"], "volumes": binds}
    directory = stack(json.dumps({"services": {"u": {**service, "command": [str(Path(sys.executable).resolve()), "-c", echo]}}}))
    pycompose(directory, "up", "-d")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", 18054))
        sender.settimeout(0.5)
        assert any(echoed(sender) == b"got hello" for _ in range(20))


def echoed(sender: socket.socket) -> bytes:
    """One datagram sent, and what came back; nothing while nobody listens yet."""
    try:
        sender.send(b"hello")
        return sender.recv(99)
    except OSError:
        time.sleep(0.1)
        return b""


def test_a_port_that_is_taken(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  a: {{{SLEEPER}, ports: ["127.0.0.1:18099:80"]}}
  b: {{{SLEEPER}, ports: ["18099:80"], profiles: [b]}}
  two: {{{SLEEPER}, ports: ["18111:80"], scale: 2, profiles: [two]}}
  host: {{{SLEEPER}, ports: ["18112:80"], profiles: [host]}}
""")
    pycompose(directory, "up", "-d")
    taken = pycompose(directory, "up", "-d", "b", ok=False)
    assert taken.code == 1
    assert "18099 failed: port is already allocated" in taken.err
    found = rows(pycompose, directory)
    assert (found["a-1"].state, found["b-1"].state) == ("running", "created")
    replicas = pycompose(directory, "up", "-d", "two", ok=False)
    assert replicas.code == 1
    assert "18111 failed: port is already allocated" in replicas.err
    with socket.create_server(("127.0.0.1", 18112)):
        foreign = pycompose(directory, "up", "-d", "host", ok=False)
    assert foreign.code == 1
    assert "18112" in foreign.err
    pycompose(directory, "up", "-d", "host")
    pycompose(directory, "rm", "-fs", "a")
    pycompose(directory, "up", "-d", "b")
    assert rows(pycompose, directory)["b-1"].state == "running"
