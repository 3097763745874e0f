"""Whole stacks through the command line, on the real kernel: a private state directory, a private network, a base image made once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from runtime.native import syscalls

ROOT = Path(__file__).resolve().parents[2]
STATE = Path(os.environ.get("PYCOMPOSE_TEST_STATE", "/var/tmp/pycompose-e2e"))
RUN = Path("/run") / STATE.name


@dataclass(frozen=True)
class Result:
    """What a command printed, how it ended, and how long it took (seconds)."""

    code: int
    out: str
    err: str
    seconds: float


class CommandLine:
    """``pycompose`` on a state directory of the tests' own. ``home`` holds images; ``run`` is emptied between scenarios."""

    def __init__(self, root: Path, run: Path) -> None:
        self.root, self.run_directory = root, run
        self.environment = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": os.environ.get("HOME", "/root"),
            "LANG": "C.UTF-8",
            "PYCOMPOSE_ROOT": str(root),
            "PYCOMPOSE_RUN": str(run),
            "PYTHONPATH": str(ROOT),
        }

    def start(self, directory: Path, *arguments: str, **options: object) -> subprocess.Popen[str]:
        """Start a command and leave it running; pipes for its streams."""
        environment = {**self.environment, **(options.pop("environment", None) or {})}  # type: ignore[dict-item]
        streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.Popen([sys.executable, "-m", "compose", *arguments], cwd=directory, env=environment, text=True, **streams)  # type: ignore[call-overload, no-any-return]

    def __call__(
        self, directory: Path, *arguments: str, input: str | None = None, ok: bool = True, timeout: float = 240, **environment: str
    ) -> Result:
        """Run a command to its end; ``ok`` asserts that it succeeded."""
        began = time.perf_counter()
        stdin = subprocess.PIPE if input is not None else subprocess.DEVNULL
        process = self.start(directory, *arguments, stdin=stdin, environment=environment)
        try:
            out, err = process.communicate(input, timeout=timeout)
        except BaseException:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"{arguments} did not end\n{out}\n{err}") from None
        result = Result(process.returncode, out, err, time.perf_counter() - began)
        assert "Traceback" not in err, err
        assert not ok or result.code == 0, f"{arguments} ended with {result.code}\n{out}\n{err}"
        return result


@pytest.fixture(scope="session")
def pycompose() -> CommandLine:
    """The command line, with ``busybox:latest`` in its store."""
    command = CommandLine(STATE / "root", RUN)
    STATE.mkdir(parents=True, exist_ok=True)
    if command(STATE, "image", "inspect", "busybox:latest", ok=False).code != 0:
        command(STATE, "image", "bootstrap", "busybox:latest")
    return command


@pytest.fixture(scope="session")
def debian(pycompose: CommandLine) -> str:
    """``debian:bookworm-slim``, bootstrapped once; needs the package mirror."""
    reference = "debian:bookworm-slim"
    if pycompose(STATE, "image", "inspect", reference, ok=False).code != 0:
        pycompose(STATE, "image", "bootstrap", reference, timeout=900)
    return reference


@pytest.fixture
def private_network() -> Iterator[None]:
    """Everything the test starts lives in a network namespace without an uplink; nothing it sends can leave this machine."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    syscalls.unshare(syscalls.CLONE_NEWNET)
    try:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        yield
    finally:
        syscalls.setns(home, syscalls.CLONE_NEWNET)
        os.close(home)


@pytest.fixture
def stack(pycompose: CommandLine, private_network: None, tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Write a compose file into a directory of its own and take the project down at the end, whatever happened; nothing may be left."""
    made: list[Path] = []

    def write(text: str, name: str = "demo") -> Path:
        directory = tmp_path / name
        directory.mkdir(exist_ok=True)
        (directory / "compose.yaml").write_text(text)
        if directory not in made:
            made.append(directory)
        return directory

    yield write
    for directory in made:
        pycompose(directory, "--profile", "*", "down", "-v", "--remove-orphans", "-t", "0", ok=False)
    assert_nothing_left(pycompose)


@dataclass(frozen=True)
class Row:
    """A container as ``ps -a --format json`` shows it."""

    id: str
    state: str
    health: str
    code: int


def rows(pycompose: CommandLine, directory: Path) -> dict[str, Row]:
    """The project's containers by name, the project's part left out ("web-1")."""
    found = [json.loads(line) for line in pycompose(directory, "ps", "-a", "--format", "json").out.splitlines()]
    return {r["Name"].removeprefix(f"{r['Project']}-"): Row(r["ID"], r["State"], r["Health"], r["ExitCode"]) for r in found}


def assert_nothing_left(pycompose: CommandLine) -> None:
    """No container, network, volume, mount, namespace, link, rule, cgroup or process of the tests' own."""
    deadline = time.monotonic() + 5
    while (left := leftovers(pycompose)) and time.monotonic() < deadline:
        time.sleep(0.1)  # the supervisor ends by itself a moment after its last container
    assert not left, left


def leftovers(pycompose: CommandLine) -> list[str]:
    """What there still is, one line each."""
    run, root = str(pycompose.run_directory), str(pycompose.root)
    left = [line for line in Path("/proc/self/mounts").read_text().splitlines() if f"{run}/" in line or f"{root}/" in line]
    left += [str(p) for kind in ("projects", "networks", "volumes") for p in (pycompose.root / kind).glob("[!.]*")]
    left += [str(p) for p in Path(f"{run}/netns").glob("*")]
    links = subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
    left += [line for line in links if line.startswith(("br-", "veth"))]
    rules = subprocess.run(["nft", "list", "tables"], capture_output=True, text=True, check=False).stdout.splitlines()
    left += [line for line in rules if "pycompose" in line]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and b"supervisor" in _command(entry) and run.encode() in _command(entry):
            left.append(f"process {entry.name}: {_command(entry)!r}")
    return left


def _command(entry: Path) -> bytes:
    try:
        return (entry / "cmdline").read_bytes()
    except OSError:
        return b""
