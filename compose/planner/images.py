"""The first stage of a command: which images are pulled or built, and which providers are asked, before containers are planned. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from compose import graph
from compose.convert import names
from compose.errors import PlanError
from compose.intent import Build, Create, ImageIntent, Pull, Run, Scale, Up
from compose.model import Project, Service
from compose.plan import BuildImage, Plan, PullImage, RunProvider
from compose.planner.draft import Draft
from runtime.state import ImageState, Snapshot

_POLICIES = ("", "always", "never", "missing", "if_not_present", "build", "daily", "weekly", "refresh", "policy")
_UNITS = {"w": 604800, "d": 86400, "h": 3600, "m": 60, "s": 1}
_DAY = 86400
_BILLION = 10**9
_PULLING = ("Pulling", "Pulled")
_BUILDING = ("Building", "Built")


def plan_images(project: Project, snapshot: Snapshot, intent: ImageIntent) -> Plan:
    """Pulls and builds that must be done, and the snapshot taken again, before the main plan is made. Empty when nothing is missing."""
    match intent:
        case Pull():
            return _plan_pull(project, snapshot, intent)
        case Build():
            return _plan_build(project, intent)
        case Up() | Create():
            needed = _needed(project, intent.services, no_deps=isinstance(intent, Up) and intent.no_deps)
            return _plan_missing(
                *needed, snapshot, pull=intent.pull, build=intent.build, no_build=intent.no_build, compatibility=intent.compatibility
            )
        case Scale():
            return _plan_missing(
                *_needed(project, tuple(intent.scale), no_deps=intent.no_deps), snapshot, compatibility=intent.compatibility
            )
        case Run():
            needed = _needed(project, (intent.service,), no_deps=intent.no_deps)
            return _plan_missing(*needed, snapshot, pull=intent.pull, build=intent.build, compatibility=intent.compatibility)


def image_references(project: Project, *, compatibility: bool = False) -> tuple[str, ...]:
    """Every image reference the planner may look up: ``observe.snapshot(images=…)``."""
    found: dict[str, None] = {}
    for service in (*project.services.values(), *project.disabled_services.values()):
        if service.provider is None:
            found[names.image_name(project, service, compatibility=compatibility)] = None
            found |= dict.fromkeys(_further_images(service))
    return tuple(found)


def neighbour_names(project: Project) -> tuple[str, ...]:
    """Names of containers outside the project that it refers to: ``observe.snapshot(neighbours=…)``."""
    found: dict[str, None] = {}
    for service in (*project.services.values(), *project.disabled_services.values()):
        modes = (service.network_mode, service.ipc, service.pid, service.uts, *service.volumes_from)
        found |= {m.split(":")[1]: None for m in modes if m.startswith("container:")}
        found |= {link.partition(":")[0]: None for link in service.external_links}
    return tuple(found)


def with_provider_variables(project: Project, service: str, variables: Mapping[str, str]) -> Project:
    """The project with what a provider set (names complete) in the environment of every service that depends on it."""
    below = {n: s for n, s in project.services.items() if service in graph.dependencies(s)}
    changed = {n: replace(s, environment={**s.environment, **variables}) for n, s in below.items()}
    return replace(project, services={**project.services, **changed})


def _needed(project: Project, asked: tuple[str, ...], *, no_deps: bool) -> tuple[Project, list[Service]]:
    enabled = graph.enable(project, asked)
    chosen = asked or tuple(enabled.services)
    wanted = chosen if no_deps else graph.closure(enabled, chosen)
    return enabled, [enabled.services[n] for n in sorted(wanted)]


def _plan_missing(
    project: Project,
    services: list[Service],
    snapshot: Snapshot,
    *,
    pull: str = "",
    build: bool = False,
    no_build: bool = False,
    compatibility: bool = False,
) -> Plan:
    plan = Draft(project.name)
    building: list[Service] = []
    for service in services:
        reference = names.image_name(project, service, compatibility=compatibility)
        policy = _policy(service, pull)
        if service.provider is not None:
            continue
        if service.build is not None and not no_build and _must_build(service, policy, snapshot.images.get(reference), build):
            building.append(service)
        elif service.image and _must_pull(policy, snapshot, reference, service):
            _pull(plan, project, service, reference, policy, _cause(snapshot, reference, service, policy))
        for further in _further_images(service):
            if further not in snapshot.images and policy != "never":
                _pull(plan, project, service, further, policy, "not there")
    _build_all(plan, project, building, snapshot, pull, compatibility=compatibility)
    _ask_providers(plan, project, services)
    return plan.plan()


def _policy(service: Service, override: str) -> str:
    policy = override if override not in ("", "policy") else service.pull_policy
    if policy not in _POLICIES and not policy.startswith("every_"):
        raise PlanError(
            f"services.{service.name}.pull_policy: {policy!r} is not a policy", hint="always, never, missing, build, daily, weekly"
        )
    return policy


def _must_build(service: Service, policy: str, there: ImageState | None, build: bool) -> bool:
    return build or policy == "build" or (there is None and not (service.image and policy == "always"))


def _must_pull(policy: str, snapshot: Snapshot, reference: str, service: Service) -> bool:
    there = snapshot.images.get(reference)
    if policy == "always":
        return True
    if policy in ("never", "build"):
        _refuse_foreign(there, reference, service)
        return False
    if there is None or not there.config.fits(service.platform):
        return True
    every = _every(policy, service)
    return every is not None and snapshot.now - there.pulled_at > every * _BILLION


def _refuse_foreign(there: ImageState | None, reference: str, service: Service) -> None:
    if there is not None and service.build is None and not there.config.fits(service.platform):
        found = f"wanted {service.platform}, actual: {there.config.platform}"
        raise PlanError(
            f"services.{service.name}: image with reference {reference} was found but does not match the specified platform: {found}",
            hint=f"pycompose image pull --platform {service.platform} {reference}, or take `platform` out",
        )


def _cause(snapshot: Snapshot, reference: str, service: Service, policy: str) -> str:
    there = snapshot.images.get(reference)
    if there is None:
        return "not there"
    return f"pull policy {policy}" if there.config.fits(service.platform) else f"there for {there.config.platform}, not {service.platform}"


def _every(policy: str, service: Service) -> int | None:
    """Seconds after which an image is pulled again; None for policies without a clock."""
    match policy:
        case "daily":
            return _DAY
        case "weekly":
            return 7 * _DAY
        case "refresh":
            return _seconds(service.pull_refresh_after, service) if service.pull_refresh_after else _DAY
        case _ if policy.startswith("every_"):
            return _seconds(policy.removeprefix("every_"), service)
        case _:
            return None


def _seconds(text: str, service: Service) -> int:
    parts = re.findall(r"(\d+)([wdhms])", text)
    if not parts or "".join(n + u for n, u in parts) != text:
        raise PlanError(f"services.{service.name}.pull_policy: {text!r} is not a duration", hint="such as every_12h")
    return sum(int(number) * _UNITS[unit] for number, unit in parts)


def _further_images(service: Service) -> list[str]:
    """Images a service needs beside its own: mounted ones and those of hooks."""
    return [v.source for v in service.volumes if v.type == "image"] + [h.image for h in service.pre_start if h.image]


def _pull(plan: Draft, project: Project, service: Service, reference: str, policy: str, cause: str) -> None:
    platform = names.platform(project, service)
    operation = PullImage(service=service.name, reference=reference, platform=platform, policy=policy or "missing")
    plan.add(f"image:{reference}.pull", operation, cause=cause, resource=f"Image {reference}", words=_PULLING)


def _build_all(
    plan: Draft, project: Project, services: Iterable[Service], snapshot: Snapshot, pull: str, *, compatibility: bool = False
) -> None:
    wanted = {s.name: s for s in services}
    steps: dict[str, str] = {}
    for name in graph.build_order(project, wanted):
        reference = names.image_name(project, wanted[name], compatibility=compatibility)
        cause = "not there" if reference not in snapshot.images else "build"
        try_pull = bool(wanted[name].image) and reference not in snapshot.images and _policy(wanted[name], pull) not in ("never", "build")
        after = [steps[d] for d in graph.build_dependencies(wanted[name]) if d in steps]
        steps[name] = _build(plan, project, wanted[name], reference, cause=cause, after=after, try_pull=try_pull)


def _build(
    plan: Draft,
    project: Project,
    service: Service,
    reference: str,
    *,
    cause: str,
    after: Iterable[str] = (),
    try_pull: bool = False,
    no_cache: bool = False,
    pull: bool = False,
) -> str:
    if service.build is None:
        raise PlanError(f'service "{service.name}" has no build section')
    operation = BuildImage(
        service=service.name,
        reference=reference,
        build=service.build,
        project=project.name,
        platform=names.platform(project, service),
        no_cache=no_cache or service.build.no_cache,
        pull=pull or service.build.pull,
        try_pull=try_pull,
    )
    return plan.add(f"image:{reference}.build", operation, after=after, cause=cause, resource=f"Image {reference}", words=_BUILDING)


def _ask_providers(plan: Draft, project: Project, services: list[Service]) -> None:
    chosen = {s.name for s in services if s.provider is not None}
    steps: dict[str, str] = {}
    for name in graph.order(project, chosen):
        service = project.services[name]
        if service.provider is not None:
            after = [steps[d] for d in graph.dependencies(service) if d in steps]
            operation = RunProvider(project=project.name, service=name, provider=service.provider, command="up")
            steps[name] = plan.add(
                f"{name}.provider", operation, after=after, cause="provider", resource=name, words=("Creating", "Created")
            )


def _plan_pull(project: Project, snapshot: Snapshot, intent: Pull) -> Plan:
    enabled = graph.enable(project, intent.services)
    chosen = intent.services or tuple(enabled.services)
    wanted = graph.closure(enabled, chosen) if intent.include_deps else chosen
    plan = Draft(project.name)
    for name in sorted(wanted):
        service = enabled.services[name]
        skipped = _why_not_pulled(service, snapshot, intent)
        if skipped:
            plan.note(f"Service {name}", f"Skipped: {skipped}")
        else:
            _pull(plan, project, service, service.image, intent.policy or "always", "pull")
    return plan.plan()


def _why_not_pulled(service: Service, snapshot: Snapshot, intent: Pull) -> str:
    if not service.image:
        return "No image to be pulled"
    if service.build is not None and intent.ignore_buildable:
        return "Image can be built"
    policy = intent.policy or service.pull_policy
    there = service.image in snapshot.images
    if policy in ("never", "build"):
        return f"pull policy {policy}"
    return "Image is already present locally" if there and policy in ("missing", "if_not_present") else ""


def _plan_build(project: Project, intent: Build) -> Plan:
    enabled = graph.enable(project, intent.services)
    chosen = intent.services or tuple(enabled.services)
    wanted = set(graph.closure(enabled, chosen) if intent.with_dependencies else chosen)
    for name in list(wanted):
        wanted |= {d for d in graph.build_dependencies(enabled.services[name]) if d in enabled.services}
    plan, steps = Draft(project.name), dict[str, str]()
    for name in graph.build_order(enabled, (n for n in wanted if enabled.services[n].build is not None)):
        service = _with_arguments(enabled.services[name], intent)
        after = [steps[d] for d in graph.build_dependencies(service) if d in steps]
        reference = names.image_name(project, service)
        steps[name] = _build(plan, project, service, reference, cause="build", after=after, no_cache=intent.no_cache, pull=intent.pull)
    return plan.plan()


def _with_arguments(service: Service, intent: Build) -> Service:
    if service.build is None or not intent.args:
        return service
    return replace(service, build=replace(service.build, args={**service.build.args, **intent.args}))
