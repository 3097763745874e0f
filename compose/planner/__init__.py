"""The planner: project, snapshot and intent in, plan out. Pure: reads nothing, changes nothing, decides every name, id, address and hash.

``plan_images`` is the first stage of commands that need images; the command line carries it out, observes again, and plans with ``plan``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from compose.intent import Create, Down, ImageIntent, Intent, Kill, Pause, Restart, Rm, Run, Scale, Start, Stop, Unpause, Up
from compose.model import Project
from compose.plan import Plan
from compose.planner.recovery import project_from_snapshot
from runtime.spec import ContainerSpec
from runtime.state import Snapshot

__all__ = ["image_references", "neighbour_names", "one_off", "plan", "plan_images", "project_from_snapshot", "with_provider_variables"]


def plan(project: Project, snapshot: Snapshot, intent: Intent) -> Plan:
    """What to do. Raises PlanError (or runtime.errors.Conflict when address pools are used up) when it cannot be done as asked."""
    match intent:
        case Up() | Create() | Scale():
            from compose.planner import up

            return up.plan_up(project, snapshot, up.as_up(intent))
        case Run():
            from compose.planner import run

            return run.plan_run(project, snapshot, intent)
        case Down():
            from compose.planner import down

            return down.plan_down(project, snapshot, intent)
        case _:
            return _plan_lifecycle(project, snapshot, intent)


def _plan_lifecycle(project: Project, snapshot: Snapshot, intent: Start | Stop | Restart | Kill | Rm | Pause | Unpause) -> Plan:
    from compose.planner import lifecycle

    match intent:
        case Start():
            return lifecycle.plan_start(project, snapshot, intent)
        case Stop():
            return lifecycle.plan_stop(project, snapshot, intent)
        case Restart():
            return lifecycle.plan_restart(project, snapshot, intent)
        case Kill():
            return lifecycle.plan_kill(project, snapshot, intent)
        case Rm():
            return lifecycle.plan_rm(project, snapshot, intent)
        case Pause():
            return lifecycle.plan_pause(project, snapshot, intent)
        case Unpause():
            return lifecycle.plan_unpause(project, snapshot, intent)
        case _:
            assert_never(intent)


def plan_images(project: Project, snapshot: Snapshot, intent: ImageIntent) -> Plan:
    """The first stage: pulls and builds (and providers' ``up``) that must come before ``plan``; empty when nothing is missing."""
    from compose.planner import images

    return images.plan_images(project, snapshot, intent)


def image_references(project: Project, *, compatibility: bool = False) -> tuple[str, ...]:
    """Every image reference the planner may look up: ``observe.snapshot(images=…)``."""
    from compose.planner import images

    return images.image_references(project, compatibility=compatibility)


def neighbour_names(project: Project) -> tuple[str, ...]:
    """Names of containers outside the project that it refers to: ``observe.snapshot(neighbours=…)``."""
    from compose.planner import images

    return images.neighbour_names(project)


def with_provider_variables(project: Project, service: str, variables: Mapping[str, str]) -> Project:
    """The project with what a provider set in the environment of the services that depend on it."""
    from compose.planner import images

    return images.with_provider_variables(project, service, variables)


def one_off(made: Plan) -> ContainerSpec:
    """The container that the plan of a ``Run`` makes."""
    from compose.planner import run

    return run.one_off(made)
