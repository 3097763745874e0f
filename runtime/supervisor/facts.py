"""What the worker keeps in memory of a container: the few facts of its spec, image and bundle that its life needs. In the supervisor's worker."""

from __future__ import annotations

import signal
from collections.abc import Mapping

from runtime import codec
from runtime.bundle import Bundle
from runtime.errors import NotFound, RuntimeFailure
from runtime.record import dataclass
from runtime.spec import ContainerSpec, EndpointSpec, ImageConfig, LinkSpec, LogSpec, PortSpec, RestartPolicy, VolumeMount
from runtime.store import read_file
from runtime.supervisor.health_policy import Check, resolve_check


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """One container. ``directory`` is its own on disk, ``cgroup`` its path below every hierarchy, ``anonymous`` its unnamed volumes."""

    id: str
    name: str
    directory: str
    image: str
    labels: Mapping[str, str]
    hostname: str
    tty: bool
    stdin_open: bool
    auto_remove: bool
    restart: RestartPolicy
    grace: float
    stop_signal: int
    endpoints: tuple[EndpointSpec, ...]
    links: tuple[LinkSpec, ...]
    ports: tuple[PortSpec, ...]
    dns: tuple[str, ...]
    check: Check | None
    logging: LogSpec
    cgroup: str
    donors: tuple[str, ...]
    anonymous: tuple[str, ...]

    @property
    def service(self) -> str:
        """The Compose service, "" outside of one."""
        return self.labels.get("com.docker.compose.service", "")


def load_facts(directory: str) -> Facts:
    """The facts of the container in ``directory``. Raises NotFound when it is not there, RuntimeFailure when a value makes no sense."""
    spec = codec.loads(ContainerSpec, _text(directory, "spec.json"))
    image = codec.loads(ImageConfig, _text(directory, "image.json"))
    bundle = load_bundle(directory)
    return Facts(
        id=spec.id,
        name=spec.name,
        directory=directory,
        image=spec.image,
        labels=spec.labels,
        hostname=spec.hostname or spec.id[:12],
        tty=spec.tty,
        stdin_open=spec.stdin_open,
        auto_remove=spec.auto_remove,
        restart=spec.restart,
        grace=spec.stop_grace_period,
        stop_signal=signal_number(bundle.stop_signal),
        endpoints=spec.endpoints,
        links=spec.links,
        ports=spec.ports,
        dns=spec.dns,
        check=resolve_check(spec.healthcheck, image.healthcheck, image.shell),
        logging=spec.logging,
        cgroup=bundle.cgroup.path,
        donors=bundle.namespaces.donors,
        anonymous=tuple(m.volume for m in spec.mounts if isinstance(m, VolumeMount) and m.anonymous),
    )


def load_bundle(directory: str) -> Bundle:
    """The container's bundle. Raises NotFound."""
    return codec.loads(Bundle, _text(directory, "bundle.json"))


def signal_number(name: str) -> int:
    """The number of a signal given as SIGTERM, TERM, 15, RTMIN+3 or SIGRTMAX-1. Raises RuntimeFailure with Docker's words."""
    text = str(name).strip().upper().removeprefix("SIG")
    if text.isdigit() and 0 < int(text) <= signal.SIGRTMAX:
        return int(text)
    for base, first in (("RTMIN", signal.SIGRTMIN), ("RTMAX", signal.SIGRTMAX)):
        offset = text.removeprefix(base)
        if text.startswith(base) and (not offset or offset.lstrip("+-").isdigit()):
            return int(first) + int(offset or 0)
    found = getattr(signal, f"SIG{text}", None)
    if isinstance(found, signal.Signals):
        return int(found)
    raise RuntimeFailure(f"invalid signal: {name}", hint="a name such as SIGTERM, or a number")


def signal_name(number: int) -> str:
    """The signal's name, as events tell it: 15 → "SIGTERM"."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _text(directory: str, name: str) -> bytes:
    text = read_file(f"{directory}/{name}")
    if text is None:
        raise NotFound(f"no such container: {directory.rsplit('/', 1)[1][:12]}", hint="pycompose up creates it")
    return text
