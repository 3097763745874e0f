"""A project of its own on a real kernel: busybox containers written by hand, and a supervisor that must be gone at the end."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime import codec
from runtime.bundle import resolve
from runtime.spec import ContainerSpec, ImageConfig
from runtime.state import ProcessState
from runtime.store import Paths, is_locked
from runtime.supervisor.client import Client
from runtime.supervisor.logs_reader import LogLine, read

BUSYBOX = "/bin/busybox"
PROJECT = "supervised"


def is_zombie(pid: int) -> bool:
    """Whether the process has ended and nobody has collected it."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(") ")[2][0] == "Z"
    except FileNotFoundError:
        return False


class Lab:
    """Containers of one project, and calls to its supervisor."""

    def __init__(self, directory: str) -> None:
        self.directory = directory
        self.paths = Paths(f"{directory}/root", f"{directory}/run")
        self.layer = f"{directory}/layer"
        self._made = 0
        self.cgroup_parent = f"pycompose-{os.path.basename(directory)}"
        for name in ("bin", "etc", "tmp", "proc", "sys", "dev"):
            os.makedirs(f"{self.layer}/{name}")
        shutil.copy(BUSYBOX, f"{self.layer}/bin/busybox")
        for name in os.popen(f"{BUSYBOX} --list").read().split():
            if name != "busybox":
                os.symlink("busybox", f"{self.layer}/bin/{name}")
        for name, text in {"passwd": "root:x:0:0::/:/bin/sh\nbob:x:1000:1000::/:/bin/sh\n", "group": "root:x:0:\nbob:x:1000:\n"}.items():
            with open(f"{self.layer}/etc/{name}", "w") as file:
                file.write(text)

    def create(self, *command: str, image: ImageConfig | None = None, script: str = "", **values: Any) -> str:
        """A container as the engine leaves it on disk; ``script`` is for sh. Without endpoints it has an empty network of its own."""
        self._made += 1
        spec = ContainerSpec(
            id=os.urandom(32).hex(),
            name=f"{PROJECT}-c{self._made}-1",
            project=PROJECT,
            image="busybox",
            **{
                "command": ("sh", "-c", script) if script else command,
                "stop_grace_period": 5.0,
                "cgroup_parent": self.cgroup_parent,
                **values,
            },
        )
        config = image or ImageConfig(environment=("PATH=/bin",))
        directory = self.paths.container(PROJECT, spec.id)
        for name in ("upper", "work", "logs", "files/mounts"):
            os.makedirs(f"{directory}/{name}")
        for name in ("hosts", "hostname", "resolv.conf"):
            open(f"{directory}/files/{name}", "w").close()
        bundle = resolve(
            spec,
            config,
            [self.layer],
            directory,
            self.paths,
            {m.volume: f"{self.paths.volumes}/{m.volume}/_data" for m in spec.mounts if m.kind == "volume"},
        )
        if not spec.endpoints and not spec.network_mode:
            bundle = dataclasses.replace(bundle, namespaces=dataclasses.replace(bundle.namespaces, network="none"))
        for name, value in {"spec": spec, "image": config, "bundle": bundle}.items():
            with open(f"{directory}/{name}.json", "w") as file:
                file.write(codec.dumps(value))
        with open(f"{directory}/created", "w") as file:
            file.write(str(time.time_ns()))
        return spec.id

    def call(self, method: str, container: str = "", **arguments: object) -> dict[str, Any]:
        with Client(PROJECT, self.paths) as client:
            return client.call(method, **({"id": container} if container else {}), **arguments)

    def start(self, container: str) -> dict[str, Any]:
        return self.call("start", container)

    def run(self, *command: str, **values: Any) -> str:
        container = self.create(*command, **values)
        self.start(container)
        return container

    def wait(self, container: str, condition: str = "exited", timeout: float = 20) -> dict[str, Any]:
        answer = self.call("wait", container, condition=condition, timeout=timeout)
        assert answer["reason"] != "timeout", answer
        return answer

    def state(self, container: str) -> ProcessState:
        with open(f"{self.paths.container(PROJECT, container)}/state.json", "rb") as file:
            return codec.loads(ProcessState, file.read())

    def logs_directory(self, container: str) -> str:
        return f"{self.paths.container(PROJECT, container)}/logs"

    def logs(self, container: str, **choice: Any) -> list[LogLine]:
        return list(read(self.logs_directory(container), **choice))

    def output(self, container: str, stream: str = "stdout") -> list[bytes]:
        return [line.text for line in self.logs(container) if line.stream == stream]

    def until(self, condition: Callable[[], Any], timeout: float = 20) -> Any:
        deadline = time.monotonic() + timeout
        while not (value := condition()):
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.01)
        return value

    def processes(self) -> dict[int, int]:
        """The supervisor's processes, and their parents."""
        found = {}
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/cmdline", "rb") as file:
                    line = file.read()
                with open(f"/proc/{name}/stat") as file:
                    fields = file.read().rpartition(") ")[2].split()
            except OSError:
                continue
            if self.paths.run.encode() in line and fields[0] not in "ZX":
                found[int(name)] = int(fields[1])
        return found

    def chain(self) -> tuple[int, int, int]:
        """Guard, keeper and worker, once there are all three."""

        def found() -> tuple[int, int, int] | None:
            named = [(Path(f"/proc/{pid}/comm").read_text().strip(), pid) for pid in self.processes()]
            roles = dict(named)  # a child on its way to becoming a probe or a container still looks like its parent
            return (roles["guard"], roles["keeper"], roles["supervisor"]) if len(roles) == len(named) == 3 else None

        def attempt() -> tuple[int, int, int] | None:
            try:
                return found()
            except (FileNotFoundError, KeyError):
                return None

        chain: tuple[int, int, int] = self.until(attempt)
        return chain

    def worker(self) -> int:
        return self.chain()[2]

    def kill_all(self) -> None:
        """Until none is left: each that survives a moment longer begins to make the others anew."""

        def killed() -> bool:
            for pid in self.processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            return not self.processes()

        self.until(killed)

    def has_ended(self, pid: int) -> bool:
        return is_zombie(pid) or not os.path.exists(f"/proc/{pid}")

    def zombies_of(self, pid: int) -> list[int]:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return [int(c) for c in file.read().split() if is_zombie(int(c))]

    def cgroups(self) -> list[str]:
        roots = [f"/sys/fs/cgroup/{n}" for n in os.listdir("/sys/fs/cgroup")] + ["/sys/fs/cgroup"]
        return [p for root in roots if os.path.isdir(p := f"{root}/{self.cgroup_parent}")]

    def events(self, container: str) -> list[dict[str, Any]]:
        from runtime import observe

        return [e for e in observe.events(PROJECT, where=self.paths) if e["id"] == container]  # type: ignore[misc]

    def close(self) -> None:
        """End everything, and see that nothing is left."""
        containers = f"{self.paths.project(PROJECT)}/containers"
        for container in [n for n in os.listdir(containers) if len(n) == 64] if os.path.isdir(containers) else ():
            self.call("stop", container, timeout=0)
            self.call("remove", container)
        shutil.rmtree(containers, ignore_errors=True)
        if is_locked(f"{self.paths.project_run(PROJECT)}/supervisor.lock"):
            self.call("ping")
        self.until(lambda: not self.processes())
        left = [f for _, _, files in os.walk(self.paths.run) for f in files]
        with open("/proc/self/mounts") as file:
            mounts = [line for line in file if self.directory in line]
        shutil.rmtree(self.directory)
        assert left in ([], ["supervisor.log"]), left
        assert not mounts
        assert not self.cgroups()


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    lab = Lab(tempfile.mkdtemp(dir="/var/tmp"))
    yield lab
    lab.close()
