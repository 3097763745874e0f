"""``run``: a container of a service beside its replicas, after what it depends on. Pure."""

from __future__ import annotations

from dataclasses import replace

from compose import graph
from compose.convert import names
from compose.convert.container import Request, container_spec
from compose.convert.endpoints import attachments
from compose.convert.labels import one_off_labels
from compose.intent import Run, Up
from compose.model import Project, Service, ServiceVolume
from compose.plan import CreateContainer, Plan
from compose.planner import definitions, draft, making, replicas, scope, specs, starting
from compose.planner.convergence import Change, Convergence, Role
from runtime.spec import ContainerSpec
from runtime.state import Snapshot


def plan_run(project: Project, snapshot: Snapshot, intent: Run) -> Plan:
    """Dependencies as ``up`` would have them, then the one-off: created, its conditions awaited, and (``start``) started."""
    enabled = graph.enable(project, (intent.service,))
    service = _with_overrides(enabled.services[intent.service], intent)
    work = _converge(enabled, snapshot, intent, service)
    starting.start(work)
    spec = _one_off(work, service, intent)
    _write(work, service, spec, intent)
    for text in work.at.warnings:
        work.draft.warn(text)
    return work.draft.plan()


def one_off(plan: Plan) -> ContainerSpec:
    """The container ``run`` makes, out of its plan: the command line attaches to it by its id."""
    made = [s.operation.spec for s in plan.steps if isinstance(s.operation, CreateContainer)]
    return next(s for s in reversed(made) if s.labels.get(names.ONE_OFF) == "True" and names.HOOK not in s.labels)


def _converge(project: Project, snapshot: Snapshot, intent: Run, service: Service) -> Convergence:
    """The dependencies' half of an ``up``; the service itself is in the scope for its networks and volumes only."""
    below = graph.closure(project, (intent.service,)) - {intent.service}
    up = Up(
        services=(intent.service,),
        no_deps=intent.no_deps,
        remove_orphans=intent.remove_orphans,
        ignore_orphans=intent.ignore_orphans,
        compatibility=intent.compatibility,
    )
    work = Convergence(project, snapshot, up)
    work.roles = dict.fromkeys(below, Role.NEEDED) if not intent.no_deps else {}
    for name in (*work.roles, intent.service) if not intent.no_deps else ():
        graph.check_service(project, name)
    work.roles[intent.service] = Role.FOLLOWER
    scope.widen(work, ())
    definitions.define_networks(work, (*work.scope, service))
    definitions.define_volumes(work, (*work.scope, service))
    replicas.decide(work)
    specs.make_specs(work)
    making.make(work)
    return work


def _with_overrides(service: Service, intent: Run) -> Service:
    """The service as this one container wants it."""
    return replace(
        service,
        command=intent.command if intent.command is not None or intent.entrypoint is not None else service.command,
        entrypoint=service.entrypoint if intent.entrypoint is None else intent.entrypoint,
        environment={**service.environment, **intent.environment},
        labels={**service.labels, **intent.labels},
        user=service.user if intent.user is None else intent.user,
        working_dir=service.working_dir if intent.working_dir is None else intent.working_dir,
        volumes=_volumes(service, intent),
        cap_add=tuple(dict.fromkeys((*(c for c in service.cap_add if c not in intent.cap_drop), *intent.cap_add))),
        cap_drop=tuple(dict.fromkeys((*(c for c in service.cap_drop if c not in intent.cap_add), *intent.cap_drop))),
        ports=(*(service.ports if intent.service_ports else ()), *intent.publish),
        tty=intent.tty,
        stdin_open=intent.stdin_open,
    )


def _volumes(service: Service, intent: Run) -> tuple[ServiceVolume, ...]:
    replaced = {v.target for v in intent.volumes}
    return (*(v for v in service.volumes if v.target not in replaced), *intent.volumes)


def _one_off(work: Convergence, service: Service, intent: Run) -> ContainerSpec:
    slug = names.identity(work.snapshot.nonce, "slug", service.name)
    name = intent.name or names.one_off_name(work.project, service, slug, compatibility=intent.compatibility)
    single = replace(
        service, container_name="", restart="", deploy=None if service.deploy is None else replace(service.deploy, restart_condition="none")
    )
    request = Request(
        id=names.identity(work.snapshot.nonce, "container", name),
        name=name,
        labels=one_off_labels({}, slug),
        one_off=not intent.use_aliases,
        named=intent.use_aliases,
    )
    return replace(container_spec(work.at, single, request), auto_remove=intent.remove)


def _write(work: Convergence, service: Service, spec: ContainerSpec, intent: Run) -> None:
    before = starting.conditions(work, service) if not intent.no_deps else starting.Before()
    needs = [f"net:{a.network}" for a in attachments(work.project, service) if work.networks[a.network] is not Change.NONE]
    needs += [f"vol:{v.source}" for v in service.volumes if v.source and work.volumes.get(v.source, Change.NONE) is not Change.NONE]
    needs += [work.creates[r.id] for n in graph.donors(service) for r in work.replicas.get(n, ())[:1] if r.id in work.creates]
    shown, key = draft.resource(spec.name), f"{service.name}-run"
    created = work.draft.add(
        f"{key}.create",
        CreateContainer(spec=spec),
        after=(*needs, *before.after),
        after_any=before.after_any,
        cause="run",
        resource=shown,
        words=("Creating", "Created"),
    )
    if intent.start:
        draft.start(work.draft, key, spec.id, spec.name, after=(created,), cause="run")
