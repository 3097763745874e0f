"""The second half of an ``up``: starts in dependency order, conditions as steps, hooks, ``--wait``. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field, replace

from compose import graph
from compose.convert import names
from compose.model import Dependency, Hook, Service
from compose.plan import Await, AwaitContainer, CreateContainer, RemoveContainer, StartContainer, UnpauseContainer
from compose.planner import draft
from compose.planner.convergence import Action, Convergence, Replica, Role
from runtime.record import dataclass
from runtime.spec import ContainerSpec, HealthcheckSpec, RestartPolicy
from runtime.state import ContainerState, Health, Status

_CONDITIONS = {
    "service_started": Await.STARTED,
    "service_healthy": Await.HEALTHY,
    "service_completed_successfully": Await.COMPLETED,
}
_DONE_WORDS = {Await.COMPLETED: "Exited"}


@dataclass(slots=True)
class Before:
    """What a step waits for: the success of ``after``, the end of ``after_any``."""

    after: list[str] = field(default_factory=list)
    after_any: list[str] = field(default_factory=list)


def start(work: Convergence) -> None:
    """Write the steps of the second half; with ``no_start`` only what ran before runs again."""
    starts = {n: [r for r in work.replicas.get(n, ()) if _must_start(work, r)] for n in work.order}
    ready = work.draft.barrier("created", "nothing starts before all is made") if any(starts.values()) else ()
    for service in work.scope:
        replicas, starting = work.replicas.get(service.name, []), starts[service.name]
        before = conditions(work, service) if _conditional(work, service, starting) else Before()
        if starting:
            _start_service(work, service, starting, Before([*ready, *before.after], before.after_any))
        if work.roles[service.name] is not Role.FOLLOWER:
            _note_running(work, replicas, starting)
    if work.intent.wait and not work.intent.no_start:
        _wait_for_all(work)


def _note_running(work: Convergence, replicas: list[Replica], starting: list[Replica]) -> None:
    for replica in replicas:
        if replica.action is Action.KEEP and replica not in starting and replica.running:
            work.draft.note(draft.resource(replica.name), "Running")


def _must_start(work: Convergence, replica: Replica) -> bool:
    if replica.bounce:
        return True
    if work.intent.no_start:
        return False
    if work.roles[replica.service.name] is Role.FOLLOWER:
        return replica.action is Action.REPLACE and replica.running
    if replica.action is not Action.KEEP or replica.current is None:
        return True
    return replica.current.process.status not in (Status.RUNNING, Status.RESTARTING)


def _start_service(work: Convergence, service: Service, starting: list[Replica], before: Before) -> None:
    others = any(r.action is Action.KEEP and r.running and not r.bounce for r in work.replicas[service.name])
    if service.pre_start and not others and starting[0].spec is not None:
        before = replace(before, after=[*before.after, *_pre_start(work, service, starting[0].spec, before)])
    for replica in starting:
        renamed = [i for i in (f"{replica.key}.rename",) if i in work.draft.steps]
        after = [*before.after, *renamed]
        if (
            replica.current is not None
            and replica.action is Action.KEEP
            and replica.current.process.status is Status.PAUSED
            and not replica.bounce
        ):
            work.started[replica.id] = _unpause(work, replica, after, before.after_any)
            continue
        work.started[replica.id] = draft.start(
            work.draft,
            replica.key,
            replica.id,
            replica.name,
            service=service,
            after=after,
            after_any=before.after_any,
            cause=_cause(replica),
        )


def _unpause(work: Convergence, replica: Replica, after: Iterable[str], after_any: Iterable[str]) -> str:
    return work.draft.add(
        f"{replica.key}.unpause",
        UnpauseContainer(container=replica.id, name=replica.name),
        after=after,
        after_any=after_any,
        cause="paused",
        resource=draft.resource(replica.name),
        words=("Unpausing", "Unpaused"),
    )


def _cause(replica: Replica) -> str:
    if replica.bounce:
        return replica.bounce
    if replica.action is Action.KEEP and replica.current is not None:
        process = replica.current.process
        return f"exited ({process.exit_code})" if process.status is Status.EXITED else str(process.status)
    return "replaced" if replica.action is Action.REPLACE else "created"


def _conditional(work: Convergence, service: Service, starting: list[Replica]) -> bool:
    """Whether ``depends_on`` counts: for what is started, and (as in Docker Compose) for what was asked for and runs already."""
    follower = work.roles[service.name] is Role.FOLLOWER
    if work.intent.no_deps and not follower:
        return False
    return bool(starting) or not (follower or work.intent.no_start)


def conditions(work: Convergence, service: Service) -> Before:
    """What ``depends_on`` asks for, as steps to come after."""
    before = Before()
    for dependency in graph.dependencies(service).values():
        for replica in work.replicas.get(dependency.service, ()):
            target = before.after if dependency.required else before.after_any
            target.extend(_condition(work, dependency, replica))
    return before


def _condition(work: Convergence, dependency: Dependency, replica: Replica) -> list[str]:
    started = work.started.get(replica.id)
    condition = _CONDITIONS[dependency.condition]
    if condition is Await.STARTED:
        return [started] if started else []
    if started is None and replica.current is not None and _holds(condition, replica.current):
        work.draft.note(draft.resource(replica.name), _DONE_WORDS.get(condition, "Healthy"))
        return []
    return [
        await_step(
            work.draft, replica.key, replica.id, replica.name, condition, after=[started] if started else [], required=dependency.required
        )
    ]


def _holds(condition: Await, container: ContainerState) -> bool:
    """Whether the condition is true already, as observed."""
    process = container.process
    if condition is Await.COMPLETED:
        return process.status is Status.EXITED and process.exit_code == 0
    healthy = process.health.status is Health.HEALTHY
    unchecked = process.health.status is Health.NONE and condition is Await.RUNNING_OR_HEALTHY
    return process.status is Status.RUNNING and (healthy or unchecked)


def await_step(
    plan: draft.Draft,
    key: str,
    container: str,
    name: str,
    condition: Await,
    *,
    after: Iterable[str],
    required: bool = True,
    timeout: float | None = None,
    suffix: str = "",
) -> str:
    """The step that waits for a container's condition; the same wait of several dependents is one step."""
    operation = AwaitContainer(container=container, name=name, condition=condition, required=required, timeout=timeout)
    return plan.add(
        f"{key}.{suffix or condition}{'' if required else '.optional'}",
        operation,
        after=after,
        cause="--wait" if suffix else f"depends_on: {condition}",
        resource=draft.resource(name),
        words=("Waiting", _DONE_WORDS.get(condition, "Healthy")),
    )


def _wait_for_all(work: Convergence) -> None:
    """``--wait``: one more wait per container, all from the moment when everything is started."""
    running = work.draft.barrier("started", "--wait counts from here") if work.intent.wait_timeout is not None else ()
    oneshots = {d.service for s in work.scope for d in graph.dependencies(s).values() if d.condition == "service_completed_successfully"}
    for service in work.scope:
        condition = Await.COMPLETED if service.name in oneshots else Await.RUNNING_OR_HEALTHY
        for replica in work.replicas.get(service.name, ()) if work.roles[service.name] is not Role.FOLLOWER else ():
            started = work.started.get(replica.id)
            if started is None and replica.current is not None and _holds(condition, replica.current):
                work.draft.note(draft.resource(replica.name), _DONE_WORDS.get(condition, "Healthy"))
                continue
            after = running or ([started] if started else [])
            timeout = work.intent.wait_timeout
            await_step(work.draft, replica.key, replica.id, replica.name, condition, after=after, timeout=timeout, suffix="wait")


def _pre_start(work: Convergence, service: Service, model: ContainerSpec, before: Before) -> list[str]:
    """The service's ``pre_start`` containers, one after the other; one that fails stays for inspection and the service stays created."""
    after, after_any = before.after, before.after_any
    for index, hook in enumerate(service.pre_start):
        spec = _hook_spec(work, model, hook, index)
        key = f"{service.name}.pre_start[{index}]"
        create, run = CreateContainer(spec=spec), StartContainer(container=spec.id, name=spec.name)
        shown = draft.resource(spec.name)
        work.draft.add(
            f"{key}.create", create, after=after, after_any=after_any, cause="hook", resource=shown, words=("Creating", "Created")
        )
        work.draft.add(f"{key}.start", run, after=(f"{key}.create",), cause="hook", resource=shown, words=("Starting", "Started"))
        await_step(work.draft, key, spec.id, spec.name, Await.COMPLETED, after=(f"{key}.start",))
        removal = RemoveContainer(container=spec.id, name=spec.name, volumes=False)
        after, after_any = [work.draft.add(f"{key}.remove", removal, after=(f"{key}.completed",), cause="hook done")], []
    return after


def _hook_spec(work: Convergence, model: ContainerSpec, hook: Hook, index: int) -> ContainerSpec:
    """A container like the service's, with the hook's command, without ports, health and restarts."""
    identity = names.identity(work.snapshot.nonce, "hook", f"{model.name}.{index}")
    image = work.snapshot.images.get(hook.image) if hook.image else None
    endpoints = tuple(
        replace(e, ipv4=_fresh(work, e.network, 4, identity), ipv6=_fresh(work, e.network, 6, identity), mac=None, aliases=(identity[:12],))
        for e in model.endpoints
    )
    labels = {k: v for k, v in model.labels.items() if k != names.NUMBER}
    return replace(
        model,
        id=identity,
        name=f"{model.name}-pre_start-{identity[:12]}",
        image=hook.image or model.image,
        image_id=image.id if image else "" if hook.image else model.image_id,
        entrypoint=(),
        command=hook.command,
        user=hook.user or model.user,
        privileged=hook.privileged or model.privileged,
        working_dir=hook.working_dir or model.working_dir,
        environment={**model.environment, **hook.environment},
        labels={**labels, names.ONE_OFF: "True", names.HOOK: f"pre_start[{index}]"},
        endpoints=endpoints,
        ports=(),
        restart=RestartPolicy(),
        healthcheck=HealthcheckSpec(test=("NONE",)),
    )


def _fresh(work: Convergence, network: str, version: int, identity: str) -> str | None:
    spec = next((n for n in work.at.networks.values() if n.name == network), None)
    return work.at.addresses.choose(spec, version, identity) if spec else None
