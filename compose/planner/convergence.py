"""What ``up`` knows while it plans: the scope, what is decided about networks, volumes and replicas, and the draft. Pure."""

from __future__ import annotations

from dataclasses import field
from enum import Enum

from compose import graph
from compose.convert.books import AddressBook, PortBook
from compose.convert.surroundings import Surroundings
from compose.intent import Up
from compose.model import Project, Service
from compose.planner.draft import Draft
from compose.planner.world import World
from runtime.record import dataclass
from runtime.spec import ContainerSpec, NetworkSpec, VolumeSpec
from runtime.state import ContainerState, Snapshot


class Role(Enum):
    """Why a service is in the scope: asked for, needed by one that is, or tied to one that may be replaced."""

    ASKED = "asked"
    NEEDED = "needed"
    FOLLOWER = "follower"


class Action(Enum):
    """What happens to one container."""

    KEEP = "keep"
    CREATE = "create"
    REPLACE = "replace"
    REMOVE = "remove"


class Change(Enum):
    """What happens to one network or volume."""

    NONE = "none"
    CREATE = "create"
    RENEW = "renew"


@dataclass(slots=True, kw_only=True)
class Replica:
    """One container of a service: what is there (``current``), what is to be done and why, and the id it has afterwards.

    ``bounce`` says why a kept container is stopped and started again. ``stop_first`` makes a replacement stop and give up the old one's
    addresses before the new one is made; ``remove_first`` even removes it (its volume is made anew).
    """

    service: Service
    number: int
    name: str
    action: Action
    id: str
    key: str  # what its steps are called after
    cause: str = ""
    current: ContainerState | None = None
    spec: ContainerSpec | None = None
    bounce: str = ""
    stop_first: bool = False
    remove_first: bool = False
    takes_over: list[tuple[Replica, str]] = field(default_factory=list)  # from whom, on which network, it gets an address

    @property
    def running(self) -> bool:
        """Whether what is there runs."""
        return self.current is not None and self.current.running


class Convergence:
    """The working paper of one ``up``."""

    def __init__(self, project: Project, snapshot: Snapshot, intent: Up) -> None:
        self.project = project
        self.snapshot = snapshot
        self.intent = intent
        self.world = World(snapshot)
        self.draft = Draft(project.name)
        self.at = Surroundings(
            project=project,
            snapshot=snapshot,
            addresses=AddressBook(snapshot),
            ports=PortBook(snapshot, ()),
            renew_anonymous=intent.renew_anon_volumes,
            compatibility=intent.compatibility,
        )
        self.roles: dict[str, Role] = {}
        self.order: tuple[str, ...] = ()
        self.hashes: dict[str, str] = {}
        self.networks: dict[str, Change] = {}
        self.volumes: dict[str, Change] = {}
        self.volume_specs: dict[str, VolumeSpec] = {}
        self.replicas: dict[str, list[Replica]] = {}
        self.removed: list[Replica] = []
        self._tied: dict[str, list[str]] | None = None
        self.creates: dict[str, str] = {}
        self.started: dict[str, str] = {}

    @property
    def scope(self) -> list[Service]:
        """The services in the scope, dependencies first."""
        return [self.project.services[n] for n in self.order]

    def renewed_networks(self) -> list[tuple[str, NetworkSpec]]:
        """Networks made anew, by key."""
        return [(k, self.at.networks[k]) for k, c in self.networks.items() if c is Change.RENEW]

    def tied(self, name: str) -> list[str]:
        """Services of the scope that restart with ``name``, or live in its containers' namespaces."""
        if self._tied is None:
            self._tied = {}
            for service in self.scope:
                for other in {*(n for n, d in graph.dependencies(service).items() if d.restart), *graph.donors(service)}:
                    self._tied.setdefault(other, []).append(service.name)
        return self._tied.get(name, [])

    def key(self, container: ContainerState) -> str:
        """What the steps of a container that is there are called after."""
        return self.world.keys[container.spec.id]

    def leaving(self) -> set[str]:
        """Ids of the containers that will be gone."""
        decided = (r for r in (*self.all_replicas(), *self.removed) if r.action in (Action.REPLACE, Action.REMOVE))
        leaving = {r.current.spec.id for r in decided if r.current}
        if self.intent.remove_orphans:
            leaving |= {c.spec.id for c in self.world.orphans(self.project)}
        return leaving

    def all_replicas(self) -> list[Replica]:
        """What there will be, in the scope's order."""
        return [r for n in self.order for r in self.replicas.get(n, ())]
