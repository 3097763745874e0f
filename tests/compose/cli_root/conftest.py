"""The command line on the real engine: a state directory, a network namespace and a busybox image of the tests' own; nothing may be left."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
MAKE_IMAGE = """
import io, sys, tarfile
from runtime.engine import images
buffer = io.BytesIO()
with tarfile.open(fileobj=buffer, mode="w") as tar:
    for name in ("bin", "etc", "root", "tmp"):
        entry = tarfile.TarInfo(name)
        entry.type, entry.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(entry)
    tar.add("/bin/busybox", "bin/busybox")
    for name in sys.argv[1:]:
        entry = tarfile.TarInfo(f"bin/{name}")
        entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
        tar.addfile(entry)
    for name, text in (("etc/passwd", b"root:x:0:0::/root:/bin/sh\\n"), ("etc/group", b"root:x:0:\\n")):
        entry = tarfile.TarInfo(name)
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text))
buffer.seek(0)
images.import_root(buffer, "busybox:latest", ['CMD ["sh"]'])
"""
APPLETS = [
    "sh",
    "cat",
    "echo",
    "env",
    "find",
    "head",
    "id",
    "ls",
    "printf",
    "pwd",
    "sleep",
    "stty",
    "sync",
    "tail",
    "tar",
    "touch",
    "true",
    "tty",
    "wc",
]
INTERRUPT = signal.SIGINT


class Command:
    """A command under way; its output can be waited for."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.out = b""

    def until(self, pattern: str, timeout: float = 60) -> Command:
        """Read until the output so far holds ``pattern``."""
        deadline = time.monotonic() + timeout
        assert self.process.stdout is not None
        while not re.search(pattern.encode(), self.out):
            data = os.read(self.process.stdout.fileno(), 1 << 16)
            assert data, f"ended before {pattern!r}: {self.out.decode()}"
            assert time.monotonic() < deadline, self.out.decode()
            self.out += data
        return self

    def signal(self, number: int = INTERRUPT) -> Command:
        """Send a signal to the command alone."""
        self.process.send_signal(number)
        return self

    def end(self, timeout: float = 60) -> int:
        """Wait for its end; the exit code."""
        rest, _ = self.process.communicate(timeout=timeout)
        self.out += rest
        return self.process.returncode

    @property
    def text(self) -> str:
        """Everything it said, both streams."""
        return self.out.decode()


class Host:
    """One state directory and network namespace; ``project`` directories hold compose files."""

    def __init__(self, directory: Path, namespace: int) -> None:
        self.directory = directory
        self._namespace = namespace
        self.environment = {
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "PYCOMPOSE_ROOT": str(directory / "root"),
            "PYCOMPOSE_RUN": str(directory / "run"),
        }

    def python(self, *arguments: str) -> list[str]:
        """A Python of ours in the namespace."""
        return ["nsenter", f"--net=/proc/{self._namespace}/ns/net", sys.executable, *arguments]


class Project:
    """``pycompose`` in a directory with a compose file."""

    def __init__(self, host: Host, directory: Path) -> None:
        self.host = host
        self.directory = directory

    def run(self, *arguments: str, stdin: str = "", code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and check its exit code (None: any)."""
        done = subprocess.run(
            self.argv(*arguments),
            cwd=self.directory,
            env=self.host.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert code is None or done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def start(self, *arguments: str) -> Command:
        """Start a command; both streams in one."""
        return Command(
            subprocess.Popen(
                self.argv(*arguments),
                cwd=self.directory,
                env=self.host.environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
        )

    def argv(self, *arguments: str) -> list[str]:
        """The command's arguments."""
        return self.host.python("-m", "compose", *arguments)

    def ids(self) -> dict[str, str]:
        """Container names and ids, stopped ones too."""
        lines = self.run("ps", "-a", "--no-trunc", "--format", "{{.Name}} {{.ID}}").stdout.splitlines()
        return dict(line.split() for line in lines)  # type: ignore[misc]

    def states(self) -> dict[str, str]:
        """Container names and states."""
        lines = self.run("ps", "-a", "--format", "{{.Name}} {{.State}}").stdout.splitlines()
        return dict(line.split() for line in lines)  # type: ignore[misc]


@pytest.fixture(scope="session")
def host() -> Iterator[Host]:
    directory = Path(tempfile.mkdtemp(prefix="pycompose-cli-", dir="/var/tmp"))
    namespace = subprocess.Popen(["unshare", "--net", "sh", "-c", "ip link set lo up; echo; exec sleep 3600"], stdout=subprocess.PIPE)
    assert namespace.stdout is not None
    namespace.stdout.readline()
    made = Host(directory, namespace.pid)
    subprocess.run(made.python("-c", MAKE_IMAGE, *APPLETS), env=made.environment, check=True, timeout=60)
    yield made
    namespace.kill()
    namespace.wait()
    left = list((directory / "root").glob("projects/*/containers/*")) + list((directory / "root").glob("networks/[!.]*"))
    shutil.rmtree(directory)
    assert not left, left


@pytest.fixture
def project(host: Host, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Project]]:
    made: list[Project] = []
    name = re.sub(r"[^a-z0-9]", "", request.node.name.lower())[:30]

    def make(text: str) -> Project:
        directory = host.directory / f"{name}{len(made)}"
        directory.mkdir()
        (directory / "compose.yaml").write_text(text)
        made.append(Project(host, directory))
        return made[-1]

    yield make
    for one in made:
        one.run("--profile", "*", "down", "-v", "-t", "0", "--remove-orphans")
        assert one.run("ps", "-aq").stdout == ""
        shutil.rmtree(one.directory)
