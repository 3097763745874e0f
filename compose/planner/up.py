"""``up``, ``create``, ``scale``: from what is to what is asked for. Pure."""

from __future__ import annotations

from compose.intent import Create, Scale, Up
from compose.model import Project
from compose.plan import Plan
from compose.planner import definitions, making, replicas, scope, specs, starting
from compose.planner.convergence import Change, Convergence
from runtime.state import Snapshot


def plan_up(project: Project, snapshot: Snapshot, intent: Up) -> Plan:
    """The steps of ``up``."""
    work = converge(scope.enabled(project, (*intent.services, *intent.scale)), snapshot, intent)
    starting.start(work)
    for text in work.at.warnings:
        work.draft.warn(text)
    return work.draft.plan()


def converge(project: Project, snapshot: Snapshot, intent: Up) -> Convergence:
    """Everything up to, and without, the starts."""
    work = Convergence(project, snapshot, intent)
    scope.select(work)
    definitions.define_networks(work, work.scope)
    definitions.define_volumes(work, work.scope)
    _widen(work)
    replicas.decide(work)
    specs.make_specs(work)
    making.make(work)
    return work


def _widen(work: Convergence) -> None:
    """Services outside the scope that mount a volume which is made anew come along."""
    renewed = tuple(k for k, c in work.volumes.items() if c is Change.RENEW)
    if renewed:
        scope.widen(work, renewed)
        definitions.define_networks(work, work.scope)
        definitions.define_volumes(work, work.scope)


def as_up(intent: Up | Create | Scale) -> Up:
    """``create`` and ``scale`` in the words of ``up``."""
    match intent:
        case Up():
            return intent
        case Scale():
            services = tuple(intent.scale)
            return Up(services=services, scale=intent.scale, no_deps=intent.no_deps, compatibility=intent.compatibility)
        case Create():
            return Up(
                services=intent.services,
                build=intent.build,
                no_build=intent.no_build,
                pull=intent.pull,
                force_recreate=intent.force_recreate,
                no_recreate=intent.no_recreate,
                scale=intent.scale,
                remove_orphans=intent.remove_orphans,
                ignore_orphans=intent.ignore_orphans,
                yes=intent.yes,
                agreed=intent.agreed,
                compatibility=intent.compatibility,
                no_start=True,
            )
