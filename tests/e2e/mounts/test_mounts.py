"""What a container finds mounted: volumes and their life, binds, tmpfs, other services' volumes, configs and secrets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import CommandLine, rows

pytestmark = pytest.mark.root
SLEEPER = "image: busybox:latest, init: true, command: sleep 300, network_mode: none"


def inside(pycompose: CommandLine, directory: Path, service: str, script: str) -> list[str]:
    return pycompose(directory, "exec", "-T", service, "sh", "-c", f"({script}) 2>&1; true").out.splitlines()


def test_a_named_volume_is_seeded_and_outlives_its_containers(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  a: {{{SLEEPER}, volumes: ["data:/etc", "ro:/r:ro", "bare:/bin2", {{type: volume, source: none, target: /etc/ssl, volume: {{nocopy: true}}}}]}}
  b: {{{SLEEPER}, volumes_from: ["a:ro"]}}
  c: {{{SLEEPER}, volumes_from: [a]}}
volumes: {{data: {{}}, ro: {{}}, bare: {{}}, none: {{}}}}
""")
    pycompose(directory, "up", "-d")
    assert "passwd" in inside(pycompose, directory, "a", "ls /etc; touch /etc/mine")
    assert inside(pycompose, directory, "a", "touch /r/x; ls /etc/ssl; ls /bin2") == ["touch: /r/x: Read-only file system"]
    assert inside(pycompose, directory, "b", "ls /etc/mine; touch /etc/x") == ["/etc/mine", "touch: /etc/x: Read-only file system"]
    assert inside(pycompose, directory, "c", "touch /etc/x; ls /etc/x; touch /r/x") == ["/etc/x", "touch: /r/x: Read-only file system"]
    listed = [json.loads(line)["Name"] for line in pycompose(directory, "volumes", "--format", "json").out.splitlines()]
    assert sorted(listed) == ["demo_bare", "demo_data", "demo_none", "demo_ro"]

    pycompose(directory, "down", "-t", "0")
    pycompose(directory, "up", "-d", "a")
    assert inside(pycompose, directory, "a", "ls /etc/mine") == ["/etc/mine"]
    gone = pycompose(directory, "down", "-v", "-t", "0").err
    assert "Volume demo_data  Removed" in gone
    pycompose(directory, "up", "-d", "a")
    assert inside(pycompose, directory, "a", "ls /etc/mine /etc/passwd") == ["ls: /etc/mine: No such file or directory", "/etc/passwd"]


def test_anonymous_volumes_follow_their_container(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    text = f"services:\n  a: {{{SLEEPER}, volumes: [/data], tmpfs: [/quick], labels: [v=0]}}\n"
    directory = stack(text)
    pycompose(directory, "up", "-d")
    inside(pycompose, directory, "a", "touch /data/kept /quick/lost")
    stack(text.replace("v=0", "v=1"))
    pycompose(directory, "up", "-d", "-t", "0")
    assert inside(pycompose, directory, "a", "ls /data /quick") == ["/data:", "kept", "", "/quick:"]
    pycompose(directory, "up", "-d", "-t", "0", "-V", "--force-recreate")
    assert inside(pycompose, directory, "a", "ls /data") == []


def test_a_volume_that_is_defined_anew_needs_consent(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    text = f"services:\n  a: {{{SLEEPER}, volumes: [data:/data]}}\nvolumes: {{data: {{labels: [v=LABEL]}}}}\n"
    directory = stack(text.replace("LABEL", "1"))
    pycompose(directory, "up", "-d")
    inside(pycompose, directory, "a", "touch /data/kept")
    before = rows(pycompose, directory)
    stack(text.replace("LABEL", "2"))
    asked = pycompose(directory, "up", "-d", "-t", "0", input="n\n", ok=False)
    assert "doesn't match configuration in compose file. Recreate (data will be lost)?" in asked.out + asked.err
    assert inside(pycompose, directory, "a", "ls /data") == ["kept"]
    assert rows(pycompose, directory) == before
    pycompose(directory, "up", "-d", "-y", "-t", "0")
    assert inside(pycompose, directory, "a", "ls /data") == []
    assert rows(pycompose, directory)["a-1"].id != before["a-1"].id


def test_external_volumes_are_not_ours(pycompose: CommandLine, stack: Callable[[str, str], Path]) -> None:
    other = stack(f"services:\n  o: {{{SLEEPER}, volumes: [x:/x]}}\nvolumes: {{x: {{name: shared}}}}\n", "other")
    pycompose(other, "up", "-d")
    inside(pycompose, other, "o", "echo hi > /x/f")
    text = f"services:\n  a: {{{SLEEPER}, volumes: [x:/x]}}\nvolumes: {{x: {{external: true, name: NAME}}}}\n"
    missing = pycompose(stack(text.replace("NAME", "absent"), "demo"), "up", "-d", ok=False)
    assert missing.code == 1
    assert "absent" in missing.err
    directory = stack(text.replace("NAME", "shared"), "demo")
    pycompose(directory, "up", "-d")
    assert inside(pycompose, directory, "a", "cat /x/f") == ["hi"]
    pycompose(directory, "down", "-v", "-t", "0")
    assert inside(pycompose, other, "o", "cat /x/f") == ["hi"]


def test_binds_and_tmpfs(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  a:
    image: busybox:latest
    init: true
    command: sleep 300
    network_mode: none
    volumes:
      - ./src:/rw
      - ./src:/ro:ro
      - ./src/f:/file
      - ./new:/new
      - {{type: bind, source: ./src, target: /slave, bind: {{propagation: rslave}}}}
      - {{type: tmpfs, target: /t1, tmpfs: {{size: 4m, mode: 0700}}}}
    tmpfs: ["/t2:size=2m,mode=1750,uid=1000,exec", /srv/here, /srv/there]
    working_dir: /srv/here
  missing: {{{SLEEPER}, volumes: [{{type: bind, source: ./nope, target: /x, bind: {{create_host_path: false}}}}], profiles: [m]}}
""")
    (directory / "src").mkdir()
    (directory / "src" / "f").write_text("hello\n")
    pycompose(directory, "up", "-d")
    assert (directory / "new").is_dir()
    script = "touch /ro/x; echo more >> /file; cat /rw/f; touch /rw/x; ls /ro"
    assert inside(pycompose, directory, "a", script) == ["touch: /ro/x: Read-only file system", "hello", "more", "f", "x"]
    assert (directory / "src" / "x").exists()
    mounts = {line.split()[4]: line for line in inside(pycompose, directory, "a", "cat /proc/self/mountinfo")}
    assert "size=4096k,mode=700" in mounts["/t1"]
    assert "noexec" in mounts["/t1"]
    assert "size=2048k,mode=1750,uid=1000" in mounts["/t2"]
    assert "noexec" not in mounts["/t2"]
    assert inside(pycompose, directory, "a", "stat -c %a:%u /t1 /t2") == ["700:0", "1750:1000"]
    assert inside(pycompose, directory, "a", "stat -c %a /srv/here /srv/there") == ["755", "1777"]  # the first covers a directory
    assert "No space left" in "".join(inside(pycompose, directory, "a", "dd if=/dev/zero of=/t1/x bs=1M count=5"))

    refused = pycompose(directory, "up", "-d", "missing", ok=False)
    assert refused.code == 1
    assert f"bind source path does not exist: {directory}/nope" in refused.err
    assert set(rows(pycompose, directory)) == {"a-1"}  # refused before anything was made
    assert not (directory / "nope").exists()


def test_configs_and_secrets(pycompose: CommandLine, stack: Callable[[str], Path]) -> None:
    directory = stack(f"""
services:
  a:
    image: busybox:latest
    init: true
    command: sleep 300
    network_mode: none
    configs: [plain, {{source: content, target: /etc/c.conf, mode: 0440, uid: "1000"}}]
    secrets: [file, {{source: var, target: two}}, {{source: var, target: /abs/three, mode: 0400, uid: "1000", gid: "1001"}}]
  b: {{{SLEEPER}}}
configs:
  content: {{content: "hello $WHO\\n"}}
  plain: {{file: ./plain.txt}}
secrets:
  file: {{file: ./secret.txt}}
  var: {{environment: SECRET}}
""")
    (directory / "plain.txt").write_text("plain\n")
    (directory / "secret.txt").write_text("s3\n")
    pycompose(directory, "up", "-d", WHO="you", SECRET="from outside")
    shown = "cat /plain /etc/c.conf /run/secrets/file /run/secrets/two; echo; cat /abs/three"
    assert inside(pycompose, directory, "a", shown) == ["plain", "hello you", "s3", "from outside", "from outside"]
    modes = "stat -c %a:%u:%g /etc/c.conf /run/secrets/two /abs/three"
    assert inside(pycompose, directory, "a", modes) == ["440:1000:0", "444:0:0", "400:1000:1001"]
    assert "Read-only" in "".join(inside(pycompose, directory, "a", "echo x > /run/secrets/file"))
    assert inside(pycompose, directory, "a", "env | grep -c outside") == ["0"]
    before = rows(pycompose, directory)
    pycompose(directory, "up", "-d", "-t", "0", WHO="others", SECRET="from outside")
    assert inside(pycompose, directory, "a", "cat /etc/c.conf") == ["hello others"]  # its users are recreated
    assert rows(pycompose, directory)["b-1"].id == before["b-1"].id
    unset = pycompose(directory, "up", "-d", "--force-recreate", ok=False)
    assert unset.code == 1
    assert "SECRET" in unset.err
