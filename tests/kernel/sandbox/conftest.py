"""Real containers for the sandbox's tests: a busybox root as one layer, no network of their own unless asked for."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from runtime import bundle, cgroups, enter, sandbox
from runtime.bundle import Bundle
from runtime.spec import ContainerSpec, ExecSpec, ImageConfig
from runtime.store import Paths

DEFAULT_CAPABILITIES = 0x00000000A80425FB  # what Docker gives root, as CapEff shows it
PASSWD = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:app:/home/app:/bin/sh\n"
GROUP = "root:x:0:\napp:x:1000:\nextra:x:2000:app\nmore:x:3000:\n"


@dataclass(frozen=True)
class Result:
    code: int
    out: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


@dataclass
class Container:
    """A running one; ``logs`` is the read end of its output."""

    bundle: Bundle
    pid: int
    pidfd: int
    logs: int
    terminal: int = -1
    warnings: tuple[str, ...] = ()
    ended: int | None = None

    def wait(self, seconds: float = 30) -> int:
        """Exit code, or minus the signal; the test fails when it takes longer."""
        deadline = time.monotonic() + seconds
        while self.ended is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.ended = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                raise AssertionError(f"{self.bundle.argv} still runs after {seconds} s")
            else:
                time.sleep(0.002)
        return self.ended

    def kill(self) -> None:
        if self.ended is None:
            os.kill(self.pid, signal.SIGKILL)
            self.wait()

    def exec(self, command: str | Sequence[str], **options: Any) -> Result:
        read, write = os.pipe()
        argv = ("sh", "-c", command) if isinstance(command, str) else tuple(command)
        try:
            launched = enter.execute(self.pid, self.bundle, ExecSpec(argv=argv, **options), sandbox.Stdio(-1, write, write))
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        os.close(launched.pidfd)
        out = drain(read)
        return Result(os.waitstatus_to_exitcode(os.waitpid(launched.pid, 0)[1]), out)


def text(path: str) -> str:
    with open(path) as file:
        return file.read()


def drain(descriptor: int) -> str:
    """All that comes until the other end closes."""
    chunks = []
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # a terminal whose other end is gone says EIO
            break
        if not chunk:
            break
        chunks.append(chunk)
    os.close(descriptor)
    return b"".join(chunks).decode(errors="replace")


@dataclass
class Host:
    """Where the test's containers live, and how they are made."""

    directory: str
    layer: str
    containers: list[Container] = field(default_factory=list)
    made: list[Bundle] = field(default_factory=list)
    counter: Iterator[int] = field(default_factory=itertools.count)

    @property
    def paths(self) -> Paths:
        return Paths(f"{self.directory}/root", f"{self.directory}/run")

    def bundle(
        self,
        command: str | Sequence[str] = "true",
        *,
        layers: Sequence[str] = (),
        image: ImageConfig | None = None,
        volumes: Mapping[str, str] | None = None,
        images: Mapping[str, Sequence[str]] | None = None,
        netns: str = "none",
        **spec: Any,
    ) -> Bundle:
        """A bundle for ``sh -c command`` (or argv) in a project of the test's own, in an empty network unless ``netns`` says otherwise."""
        identifier = uuid.uuid4().hex + uuid.uuid4().hex
        argv = ("sh", "-c", command) if isinstance(command, str) else tuple(command)
        wanted = ContainerSpec(
            id=identifier, name=f"t{next(self.counter)}", project="sandboxtest", image="busybox", **{"command": argv, **spec}
        )
        place = f"{self.directory}/{identifier[:12]}"
        os.makedirs(f"{place}/files/mounts")
        found = bundle.resolve(wanted, image or ImageConfig(), layers or [self.layer], place, self.paths, volumes or {}, images)
        if not wanted.network_mode:
            found = replace(found, namespaces=replace(found.namespaces, network=netns))
        self.made.append(found)
        return found

    def start(self, wanted: Bundle, donors: Mapping[str, Container] | None = None, *, terminal: bool = False) -> Container:
        read, write = os.pipe()
        stdio = sandbox.Stdio(terminal=True) if terminal else sandbox.Stdio(-1, write, write)
        try:
            launched = sandbox.launch(wanted, stdio, {i: c.pid for i, c in (donors or {}).items()})
        except BaseException:
            os.close(read)
            raise
        finally:
            os.close(write)
        logs = read
        if terminal:
            os.close(read)
            logs = launched.terminal
        container = Container(wanted, launched.pid, launched.pidfd, logs, launched.terminal, launched.warnings)
        self.containers.append(container)
        return container

    def run(self, command: str | Sequence[str], **options: Any) -> Result:
        container = self.start(self.bundle(command, **options))
        out = drain(container.logs)
        return Result(container.wait(), out)

    def clean(self) -> None:
        while self.containers:
            container = self.containers.pop()
            container.kill()
            os.close(container.pidfd)
        while self.made:
            cgroups.find(self.made.pop().cgroup.path).remove()


@pytest.fixture(scope="session")
def busybox_layer() -> Iterator[str]:
    """A root file system with busybox, users and groups."""
    directory = tempfile.mkdtemp(prefix="layer-", dir="/var/tmp")
    os.chmod(directory, 0o755)
    for name in ("bin", "etc", "tmp", "root", "home/app", "proc", "sys", "dev", "var", "usr/bin", "sbin"):
        os.makedirs(f"{directory}/{name}")
    os.chmod(f"{directory}/tmp", 0o1777)
    shutil.copy("/bin/busybox", f"{directory}/bin/busybox")
    for applet in os.popen("/bin/busybox --list").read().split():
        if applet != "busybox":
            os.symlink("busybox", f"{directory}/bin/{applet}")
    for name, text in (("passwd", PASSWD), ("group", GROUP)):
        with open(f"{directory}/etc/{name}", "w") as file:
            file.write(text)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
def host(busybox_layer: str) -> Iterator[Host]:
    directory = tempfile.mkdtemp(prefix="sandbox-", dir="/var/tmp")
    found = Host(directory, busybox_layer)
    yield found
    found.clean()
    shutil.rmtree(directory)


def make_layer(directory: str, files: Mapping[str, str | None], links: Mapping[str, str] | None = None) -> str:
    """A layer of text files (None is a directory) and symbolic links."""
    os.makedirs(directory)
    for name, text in files.items():
        os.makedirs(os.path.dirname(f"{directory}/{name}"), exist_ok=True)
        if text is None:
            os.makedirs(f"{directory}/{name}", exist_ok=True)
        else:
            with open(f"{directory}/{name}", "w") as file:
                file.write(text)
            os.chmod(f"{directory}/{name}", 0o755)
    for name, target in (links or {}).items():
        os.makedirs(os.path.dirname(f"{directory}/{name}"), exist_ok=True)
        os.symlink(target, f"{directory}/{name}")
    return directory
