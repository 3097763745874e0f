"""A plan: operations on the engine, as data, ordered by a DAG. Pure; printed by ``plan`` and ``--dry-run``, carried out by ``compose.scheduler``.

Every operation is carried out by the engine method of the same name in snake case, with the operation's fields as arguments.
"""

from __future__ import annotations

from enum import StrEnum

from compose.model import Build, Hook, Provider
from runtime.record import dataclass
from runtime.spec import ContainerSpec, EndpointSpec, NetworkSpec, VolumeSpec


class Await(StrEnum):
    """What an AwaitContainer waits for."""

    STARTED = "started"
    HEALTHY = "healthy"
    COMPLETED = "completed"
    RUNNING_OR_HEALTHY = "running_or_healthy"
    EXITED = "exited"


@dataclass(frozen=True, slots=True, kw_only=True)
class PullImage:
    """Bring an image into the store."""

    service: str
    reference: str
    platform: str = ""
    policy: str = "missing"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildImage:
    """Build an image from ``build`` and tag it with ``reference`` (and ``build.tags``).

    ``try_pull`` asks the registry first and builds only when it does not have the image.
    """

    service: str
    reference: str
    build: Build
    project: str
    platform: str = ""
    no_cache: bool = False
    pull: bool = False
    try_pull: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveImage:
    """Untag an image; its content goes when nothing else uses it."""

    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateNetwork:
    """Record the network and make its bridge."""

    network: NetworkSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveNetwork:
    """Remove bridge, rules and record; still used is a warning."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectContainer:
    """Give an existing container an interface (also when it runs)."""

    container: str
    endpoint: EndpointSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DisconnectContainer:
    """Take a container off a network."""

    container: str
    network: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateVolume:
    """Record a named volume and make its directory."""

    volume: VolumeSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveVolume:
    """Delete a volume and its data."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateContainer:
    """Record a container, its files, anonymous volumes, network namespace and interfaces; start nothing.

    ``seed_from`` is the id of the container it replaces, whose anonymous volumes are already named in ``spec.mounts``.
    """

    spec: ContainerSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class StartContainer:
    """Publish its ports and start its process; already running is success."""

    container: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopContainer:
    """Send the stop signal, after ``timeout`` seconds (None: the container's own) SIGKILL; not running is success."""

    container: str
    name: str
    timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartContainer:
    """Stop, then start, the same container."""

    container: str
    name: str
    timeout: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class KillContainer:
    """Send ``signal`` ("SIGKILL", "15", "HUP") to its first process."""

    container: str
    name: str
    signal: str = "SIGKILL"


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseContainer:
    """Freeze."""

    container: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class UnpauseContainer:
    """Thaw."""

    container: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveContainer:
    """Delete a stopped container (``force`` kills it first), with its anonymous volumes when asked."""

    container: str
    name: str
    volumes: bool = False
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RenameContainer:
    """Give a container another name."""

    container: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AwaitContainer:
    """Wait for a condition; not ``required`` turns failure into a warning. ``timeout`` in seconds, None without end."""

    container: str
    name: str
    condition: Await
    required: bool = True
    timeout: float | None = None
    ignore_exit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHook:
    """Run a lifecycle hook inside a running container; its failure is the step's."""

    container: str
    service: str
    kind: str  # post_start | pre_stop
    hook: Hook


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProvider:
    """Run an outside provider's ``up`` or ``down`` for a service."""

    project: str
    service: str
    provider: Provider
    command: str  # up | down | stop


@dataclass(frozen=True, slots=True, kw_only=True)
class Barrier:
    """Nothing is done; what comes after it waits until everything before it succeeded ("created": nothing starts before all exist)."""


Operation = (
    PullImage | BuildImage | RemoveImage | CreateNetwork | RemoveNetwork | ConnectContainer | DisconnectContainer | CreateVolume | RemoveVolume
    | CreateContainer | StartContainer | StopContainer | RestartContainer | KillContainer | PauseContainer | UnpauseContainer | RemoveContainer
    | RenameContainer | AwaitContainer | RunHook | RunProvider
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One operation, the steps it comes ``after`` (their success), or ``after_any`` (their end, good or bad), and why it is done.

    ``id`` is unique and readable ("db-1.create"); ``resource`` is what progress shows ("Container demo-db-1"), ``doing``/``done`` its words.
    A silent step has resource "".
    """

    id: str
    operation: Operation | Barrier
    after: tuple[str, ...] = ()
    after_any: tuple[str, ...] = ()
    cause: str = ""
    resource: str = ""
    doing: str = ""
    done: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something destructive that the plan leaves out until it is agreed to (``Up.agreed`` holding ``subject``, or ``Up.yes``)."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Steps in an order that respects ``after``; ``notes`` are unchanged resources shown in progress ("Container x", "Running"), ``warnings`` text.

    A plan with ``questions`` is complete for the answer "no"; whoever hears "yes" plans again with an intent that agrees.
    """

    project: str
    steps: tuple[Step, ...] = ()
    notes: tuple[tuple[str, str], ...] = ()
    warnings: tuple[str, ...] = ()
    questions: tuple[Question, ...] = ()

    def __str__(self) -> str:
        return "\n".join(_line(s) for s in self.steps)


def _line(step: Step) -> str:
    before = (*step.after, *(f"{i}?" for i in step.after_any))
    after = f"[{', '.join(before)}] → " if before else ""
    cause = f'  "{step.cause}"' if step.cause else ""
    return f"{after}{step.id}  {type(step.operation).__name__}{cause}"
