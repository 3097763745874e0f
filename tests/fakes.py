"""An engine in memory, for planner and scheduler tests only: it keeps states as the real one would leave them on disk, and refuses what it refuses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import anyio

from compose.intent import Intent
from compose.model import Build, Dependency, Network, Project, Service, ServiceNetwork, Volume
from compose.plan import Await, Plan
from compose.planner import plan
from compose.scheduler import execute
from runtime.errors import Conflict, InUse, NotFound, RuntimeFailure
from runtime.spec import ContainerSpec, EndpointSpec, ExecSpec, ImageConfig, NetworkSpec, VolumeMount, VolumeSpec
from runtime.state import ContainerState, Health, HealthState, ImageState, NetworkState, ProcessState, Snapshot, Status, VolumeState


def image(reference: str, *, digest: str = "", **config: object) -> ImageState:
    identity = f"sha256:{(digest or reference).encode().hex():0<64.64}"
    return ImageState(id=identity, config=ImageConfig(id=identity, **config), references=(reference,))  # type: ignore[arg-type]


@dataclass
class FakeEngine:
    """``exits`` maps a service to the exit code its containers end with as soon as they start; ``health`` to what a wait finds."""

    project: str = "demo"
    containers: dict[str, ContainerState] = field(default_factory=dict)
    networks: dict[str, NetworkState] = field(default_factory=dict)
    volumes: dict[str, VolumeState] = field(default_factory=dict)
    images: dict[str, ImageState] = field(default_factory=dict)
    exits: Mapping[str, int] = field(default_factory=dict)
    health: Mapping[str, Health] = field(default_factory=dict)
    hook_exit: int = 0
    fail: Mapping[str, str] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    routes: tuple[str, ...] = ()
    ports_in_use: frozenset[tuple[str, str, int]] = frozenset()
    moments: int = 0

    def snapshot(self, **changes: object) -> Snapshot:
        self.moments += 1
        taken = Snapshot(
            project=self.project,
            containers=tuple(sorted(self.containers.values(), key=lambda c: c.spec.name)),
            networks=dict(self.networks),
            volumes=dict(self.volumes),
            images=dict(self.images),
            routes=self.routes,
            ports_in_use=self.ports_in_use,
            nonce=f"nonce{self.moments}",
            now=1_000_000_000 * self.moments,
        )
        return replace(taken, **changes)  # type: ignore[arg-type]

    def named(self, name: str) -> ContainerState:
        return next(c for c in self.containers.values() if c.spec.name == name)

    def names(self) -> list[str]:
        return sorted(c.spec.name for c in self.containers.values())

    async def _enter(self, verb: str, subject: str) -> None:
        self.log.append(f"{verb} {subject}")
        await anyio.lowlevel.checkpoint()
        if f"{verb} {subject}" in self.fail:
            raise RuntimeFailure(self.fail[f"{verb} {subject}"])

    async def pull_image(self, service: str, reference: str, platform: str, policy: str) -> None:
        await self._enter("pull", reference)
        self.images[reference] = image(reference)

    async def build_image(
        self, service: str, reference: str, build: Build, project: str, platform: str, no_cache: bool, pull: bool, try_pull: bool
    ) -> None:
        await self._enter("build", reference)
        self.images[reference] = image(reference, digest=f"{reference}{len(self.log)}")

    async def remove_image(self, reference: str) -> None:
        await self._enter("remove-image", reference)
        self.images.pop(reference, None)

    async def create_network(self, network: NetworkSpec) -> None:
        await self._enter("create-network", network.name)
        self.networks.setdefault(network.name, NetworkState(spec=network))

    async def remove_network(self, name: str) -> None:
        await self._enter("remove-network", name)
        if name in self.networks and self.networks[name].leases:
            self.warnings.append(f"Network {name} Resource is still in use")
            return
        self.networks.pop(name, None)

    async def create_volume(self, volume: VolumeSpec) -> None:
        await self._enter("create-volume", volume.name)
        self.volumes.setdefault(volume.name, VolumeState(spec=volume))

    async def remove_volume(self, name: str) -> None:
        await self._enter("remove-volume", name)
        if any(isinstance(m, VolumeMount) and m.volume == name for c in self.containers.values() for m in c.spec.mounts):
            raise InUse(f"volume {name} is in use")
        self.volumes.pop(name, None)

    async def create_container(self, spec: ContainerSpec) -> None:
        await self._enter("create", spec.name)
        if spec.name in self.names():
            raise Conflict(f"name {spec.name} is taken")
        for endpoint in spec.endpoints:
            self._claim(endpoint, spec.id)
        for mode in (spec.network_mode, spec.pid_mode, spec.ipc_mode):
            if mode.startswith("container:") and mode.removeprefix("container:") not in self.containers:
                raise NotFound(f"{spec.name}: no donor {mode}")
        for mount in spec.mounts:
            self._mount(mount) if isinstance(mount, VolumeMount) else None
        self.containers[spec.id] = ContainerState(spec=spec, image=ImageConfig(id=spec.image_id))

    async def start_container(self, container: str, name: str) -> None:
        await self._enter("start", name)
        state = self.containers[container]
        service = state.spec.labels.get("com.docker.compose.service", "")
        if "com.docker.compose.hook" in state.spec.labels:
            process = ProcessState(status=Status.EXITED, exit_code=self.hook_exit)
        elif service in self.exits:
            process = ProcessState(status=Status.EXITED, exit_code=self.exits[service])
        else:
            process = ProcessState(status=Status.RUNNING, health=HealthState(status=self.health.get(service, Health.NONE)))
        self.containers[container] = replace(state, process=process)

    async def stop_container(self, container: str, name: str, timeout: float | None) -> None:
        await self._enter("stop", name)
        self._set(container, ProcessState(status=Status.EXITED, exit_code=137))

    async def restart_container(self, container: str, name: str, timeout: float | None) -> None:
        await self._enter("restart", name)
        self._set(container, ProcessState(status=Status.RUNNING))

    async def kill_container(self, container: str, name: str, signal: str) -> None:
        await self._enter("kill", name)
        self._set(container, ProcessState(status=Status.EXITED, exit_code=137))

    async def pause_container(self, container: str, name: str) -> None:
        await self._enter("pause", name)
        if self.containers[container].process.status is Status.PAUSED:
            raise RuntimeFailure(f"container {name} is already paused")
        self._set(container, ProcessState(status=Status.PAUSED))

    async def unpause_container(self, container: str, name: str) -> None:
        await self._enter("unpause", name)
        if self.containers[container].process.status is not Status.PAUSED:
            raise RuntimeFailure(f"Container {name} is not paused")
        self._set(container, ProcessState(status=Status.RUNNING))

    async def remove_container(self, container: str, name: str, volumes: bool, force: bool) -> None:
        await self._enter("remove", name)
        state = self.containers[container]
        if state.running and not force:
            raise InUse(f"{name} is running")
        del self.containers[container]
        for network, there in list(self.networks.items()):
            self.networks[network] = replace(there, leases={a: i for a, i in there.leases.items() if i != container})
        for mount in state.spec.mounts:
            if volumes and isinstance(mount, VolumeMount) and mount.anonymous:
                self.volumes.pop(mount.volume, None)

    async def rename_container(self, container: str, name: str) -> None:
        await self._enter("rename", name)
        if name in self.names():
            raise Conflict(f"name {name} is taken")
        state = self.containers[container]
        self.containers[container] = replace(state, spec=replace(state.spec, name=name))

    async def connect_container(self, container: str, endpoint: EndpointSpec) -> None:
        await self._enter("connect", f"{self.containers[container].spec.name} {endpoint.network}")
        state = self.containers[container]
        self._claim(endpoint, container)
        self.containers[container] = replace(state, spec=replace(state.spec, endpoints=(*state.spec.endpoints, endpoint)))

    async def disconnect_container(self, container: str, network: str) -> None:
        await self._enter("disconnect", f"{self.containers[container].spec.name} {network}")
        state, there = self.containers[container], self.networks[network]
        kept = tuple(e for e in state.spec.endpoints if e.network != network)
        self.containers[container] = replace(state, spec=replace(state.spec, endpoints=kept))
        self.networks[network] = replace(there, leases={a: i for a, i in there.leases.items() if i != container})

    async def await_container(
        self, container: str, name: str, condition: Await, required: bool, timeout: float | None, ignore_exit: bool
    ) -> None:
        await self._enter(f"await-{condition}", name)
        problem = self._unmet(self.containers[container], condition)
        if problem and required:
            raise RuntimeFailure(problem)
        if problem:
            self.warnings.append(f"optional dependency failed to start: {problem}")

    async def run_hook(self, container: str, service: str, kind: str, process: ExecSpec) -> None:
        await self._enter(kind, f"{service} {' '.join(process.argv)}")

    async def run_provider(self, project: str, service: str, program: str, options: Mapping[str, object], command: str) -> None:
        await self._enter(f"provider-{command}", service)

    def _unmet(self, state: ContainerState, condition: Await) -> str:
        process, name = state.process, state.spec.name
        service = state.spec.labels.get("com.docker.compose.service", "")
        if condition is Await.COMPLETED:
            code = process.exit_code
            return f'service "{service}" didn\'t complete successfully: exit {code}' if process.status is Status.EXITED and code else ""
        if process.status is Status.EXITED:
            return f"container {name} exited ({process.exit_code})"
        if process.health.status is Health.UNHEALTHY:
            return f"container {name} is unhealthy"
        missing = condition is Await.HEALTHY and process.health.status is Health.NONE
        return f"container {name} has no healthcheck configured" if missing else ""

    def _claim(self, endpoint: EndpointSpec, container: str) -> None:
        if endpoint.network not in self.networks:
            raise NotFound(f"network {endpoint.network} is not there")
        there = self.networks[endpoint.network]
        for address in filter(None, (endpoint.ipv4, endpoint.ipv6)):
            if there.leases.get(address, container) != container:
                raise Conflict(f"address {address} is taken")
            there = replace(there, leases={**there.leases, address: container})
        self.networks[endpoint.network] = there

    def _mount(self, mount: VolumeMount) -> None:
        if mount.volume in self.volumes:
            return
        if not mount.anonymous:
            raise NotFound(f"volume {mount.volume} is not there")
        self.volumes[mount.volume] = VolumeState(spec=VolumeSpec(name=mount.volume, project=self.project, anonymous=True))

    def _set(self, container: str, process: ProcessState) -> None:
        self.containers[container] = replace(self.containers[container], process=process)


def service(name: str, **attributes: object) -> Service:
    """A service of busybox on the default network, unless said otherwise."""
    shared = {"network_mode", "networks", "provider"} & attributes.keys()
    default = {} if shared else {"networks": (ServiceNetwork(network="default"),)}
    depends_on = attributes.pop("depends_on", ())
    entries = {d if isinstance(d, str) else d.service: Dependency(service=d) if isinstance(d, str) else d for d in depends_on}  # type: ignore[attr-defined]
    return Service(name=name, **{"image": "busybox", **default, "depends_on": entries, **attributes})  # type: ignore[arg-type]


def project(*services: Service, networks: Sequence[Network] = (), volumes: Sequence[Volume] = (), **attributes: object) -> Project:
    """The project "demo" of these services, with the default network."""
    default = Network(key="default", name="demo_default")
    return Project(
        name="demo",
        working_dir="/srv/demo",
        files=("/srv/demo/compose.yaml",),
        services={s.name: s for s in services},
        networks={n.key: n for n in (default, *networks)},
        volumes={v.key: v for v in volumes},
        **attributes,  # type: ignore[arg-type]
    )


def engine(**attributes: object) -> FakeEngine:
    """An engine whose store has busybox."""
    return FakeEngine(**{"images": {"busybox": image("busybox")}, **attributes})  # type: ignore[arg-type]


def carry_out(on: FakeEngine, of: Project, intent: Intent, **snapshot: object) -> Plan:
    """Plan and execute; returns the plan, ``on.log`` holds what was done in order."""
    made = plan(of, on.snapshot(**snapshot), intent)
    on.log.clear()
    anyio.run(execute, made, on, lambda _: None)
    return made
