"""The engine: one async method per operation of a plan. Idempotent ("already gone" is success); undoes what it began when it fails.

Runs in the command's process: links and firewall rules are the networker's (a child process), processes are the supervisor's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self

import anyio
from anyio import to_thread

from runtime import observe
from runtime.engine import containers, local_volumes, pulling, records, supervision
from runtime.engine.progress import Progress
from runtime.errors import Conflict, InUse, NotFound, RuntimeFailure
from runtime.spec import ContainerSpec, EndpointSpec, ExecSpec, NetworkSpec, VolumeSpec
from runtime.state import Status
from runtime.store import Paths, paths

if TYPE_CHECKING:
    from runtime.network.client import Networker


def _silent(_: Progress) -> None:
    """Nobody watches."""


class Engine:
    """Carries out operations on one host. ``async with Engine() as engine``; the networker starts at first use, or at ``warm()``."""

    def __init__(self, where: Paths | None = None, *, report: Callable[[Progress], None] = _silent) -> None:
        self.where = where or paths()
        self.report = report
        self.provided: dict[str, str] = {}
        self._exits = AsyncExitStack()
        self._networker: Networker | None = None
        self._networker_lock = anyio.Lock()

    async def __aenter__(self) -> Self:
        await self._exits.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool | None:
        return await self._exits.__aexit__(kind, error, trace)

    async def networker(self) -> Networker:
        """The networker's client, started once."""
        async with self._networker_lock:
            if self._networker is None:
                from runtime.network.client import Networker

                self._networker = await self._exits.enter_async_context(Networker(self.where))
        return self._networker

    async def create_network(self, network: NetworkSpec) -> None:
        """Record the network and make its bridge. Raises Conflict when the subnet was taken since it was chosen."""
        recorded = records.record_network(self.where, network)
        await (await self.networker()).create_network(recorded)

    async def remove_network(self, name: str) -> None:
        """Remove record, bridge and rules. A network still in use is left, with a warning."""
        try:
            network = records.network(self.where, name)
            records.refuse_used_network(self.where, name)
        except NotFound:
            return
        except InUse:
            self.report(Progress(resource=f"Network {name}", text="Resource is still in use", warning=True))
            return
        await (await self.networker()).remove_network(network)
        records.forget_network(self.where, name)

    async def connect_container(self, container: str, endpoint: EndpointSpec) -> None:
        """Give a container, running or not, one more interface."""
        await containers.connect(self.where, await self.networker(), container, endpoint)
        await supervision.refresh(self.where, container)

    async def disconnect_container(self, container: str, network: str) -> None:
        """Take a container's interface on a network away."""
        await containers.disconnect(self.where, await self.networker(), container, network)
        await supervision.refresh(self.where, container)

    async def create_volume(self, volume: VolumeSpec) -> None:
        """Make the volume's directory and record."""
        records.record_volume(self.where, volume)

    async def remove_volume(self, name: str) -> None:
        """Delete a volume with its data. Raises InUse while a container mounts it."""
        await to_thread.run_sync(records.delete_volume, self.where, name)

    async def create_container(self, spec: ContainerSpec) -> None:
        """Make everything a start needs: directory, files, volumes (seeded), namespace, interfaces. Starts nothing."""
        try:
            if any(m.kind == "volume" for m in spec.mounts):
                await to_thread.run_sync(containers.create, self.where, spec)  # may copy an image's content for long
            else:
                containers.create(self.where, spec)
            await containers.attach(self.where, self.networker, spec)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await containers.remove(self.where, self.networker, spec, volumes=False)
            raise

    async def start_container(self, container: str, name: str) -> None:
        """Publish ports and start the process. Raises LaunchError (125, 126, 127) when it cannot be executed."""
        spec = records.spec(self.where, container)
        local_volumes.mount_all(self.where, spec)
        await containers.attach(self.where, self.networker, spec)
        await containers.allow_links(self.where, self.networker, spec)
        try:
            await self._publish_and_start(spec)
        except Conflict:
            moved = containers.with_other_ports(self.where, spec)
            if moved is None:
                raise
            await self._publish_and_start(moved)

    async def _publish_and_start(self, spec: ContainerSpec) -> None:
        await containers.publish(self.where, self.networker, spec)
        try:
            with anyio.CancelScope(shield=True):  # the supervisor finishes what it began: whoever cancels must find it done, to undo it
                await self._call(spec.project, "start", id=spec.id)
        except BaseException as error:
            with anyio.CancelScope(shield=True):
                await containers.unpublish(self.networker, spec)
            containers.tell_platform(self.where, spec, error)
            raise

    async def stop_container(self, container: str, name: str, timeout: float | None = None) -> None:
        """Stop signal, grace period, SIGKILL. ``timeout`` in seconds; None takes the container's own."""
        spec = self._spec(container)
        if spec is None:
            return
        state = observe.process(spec.project, container, where=self.where)
        if state.status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING):
            await self._call(spec.project, "stop", id=container, timeout=timeout)
        await containers.unpublish(self.networker, spec)

    async def restart_container(self, container: str, name: str, timeout: float | None = None) -> None:
        """Stop and start the same container."""
        await self.stop_container(container, name, timeout)
        await self.start_container(container, name)

    async def kill_container(self, container: str, name: str, signal: str = "SIGKILL") -> None:
        """Send a signal to the first process; not running is success."""
        spec = self._spec(container)
        if spec is not None and self._running(spec):
            await self._call(spec.project, "kill", id=container, signal=signal)

    async def pause_container(self, container: str, name: str) -> None:
        """Freeze every process of the container."""
        await self._call(records.spec(self.where, container).project, "pause", id=container)

    async def unpause_container(self, container: str, name: str) -> None:
        """Thaw."""
        await self._call(records.spec(self.where, container).project, "unpause", id=container)

    async def remove_container(self, container: str, name: str, volumes: bool = False, force: bool = False) -> None:
        """Delete a stopped container; ``volumes`` deletes its anonymous volumes too, ``force`` kills it first."""
        spec = self._spec(container)
        if spec is None:
            return
        if self._running(spec):
            if not force:
                raise InUse(f"cannot remove container {name}: it is running", hint="stop it first, or use force")
            await self._call(spec.project, "stop", id=container, timeout=0)
        await supervision.forget(self.where, spec.project, container)
        await containers.remove(self.where, self.networker, spec, volumes=volumes)
        await supervision.dismiss_if_empty(self.where, spec.project)

    async def rename_container(self, container: str, name: str) -> None:
        """Give a container another name, in DNS too."""
        containers.rename(self.where, container, name)
        await supervision.refresh(self.where, container)

    async def await_container(
        self, container: str, name: str, condition: str, required: bool = True, timeout: float | None = None, ignore_exit: bool = False
    ) -> None:
        """Wait for ``condition`` (started, healthy, completed, running_or_healthy, exited); raises RuntimeFailure when it cannot come true."""
        spec = records.spec(self.where, container)
        try:
            await supervision.wait(self.where, spec, str(condition), timeout, ignore_exit)
        except RuntimeFailure as failure:
            if required:
                raise
            text = supervision.forgiven(spec, failure)
            self.report(Progress(resource=f"Container {name}", text=f"Skipped: {text}", warning=True))

    async def run_hook(self, container: str, service: str, kind: str, process: ExecSpec) -> None:
        """Run a lifecycle hook in a running container. Raises RuntimeFailure when it fails."""
        from runtime.engine import outside

        await outside.run_hook(
            self.where, container, service, process, lambda line: self.report(Progress(resource=f"{service} ->", text=line))
        )

    async def run_provider(self, project: str, service: str, program: str, options: Mapping[str, Sequence[str]], command: str) -> None:
        """Run an outside provider; the variables it sets reach containers created afterwards."""
        from runtime.engine import outside

        say = partial(self._say, f"Service {service}")
        self.provided |= await outside.run_provider(project, service, program, options, command, say)

    async def pull_image(self, service: str, reference: str, platform: str = "", policy: str = "missing") -> None:
        """Bring an image into the store. Raises RegistryError."""
        await pulling.pull_image(self.where, reference, platform, policy, self.report)

    async def remove_image(self, reference: str) -> None:
        """Untag an image; used or not there is no error, the former is reported."""
        await pulling.remove_image(self.where, reference, self.report)

    def _say(self, resource: str, text: str) -> None:
        self.report(Progress(resource=resource, text=text))

    def _spec(self, container: str) -> ContainerSpec | None:
        try:
            return records.spec(self.where, container)
        except NotFound:
            return None

    def _running(self, spec: ContainerSpec) -> bool:
        return observe.process(spec.project, spec.id, where=self.where).status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING)

    async def _call(self, project: str, method: str, **arguments: object) -> None:
        await supervision.call(self.where, project, method, **arguments)
