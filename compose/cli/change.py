"""How a command changes something: lock, observe, plan, carry out; once more from the start when somebody else was quicker. In the command's process.

The event loop (57 ms to import) is loaded only for plans that hold something to do.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from compose import planner
from compose.cli import output, progress
from compose.cli.options import GlobalOptions
from compose.cli.progress import Muted, Progress, never
from compose.errors import ComposeError
from compose.events import Event, StepProgress
from compose.intent import Create, ImageIntent, Intent, Kill, Pause, Restart, Rm, Run, Scale, Stop, Unpause, Up
from compose.model import Project
from compose.plan import Plan, StartContainer
from runtime import observe
from runtime.errors import Conflict, RuntimeFailure
from runtime.record import dataclass
from runtime.state import Snapshot
from runtime.store import locked, paths

ATTEMPTS = 5
Watch = Callable[[Event], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One command's wish, and how to speak of it.

    ``title`` heads live progress, steps that are ``muted`` are not shown. ``planned`` is called with what was seen and what
    will be done, before it is done; ``watch`` sees every event.
    """

    options: GlobalOptions
    project: Project
    intent: Intent
    title: str
    muted: Muted = never
    quiet: bool = False
    quiet_images: bool = False
    planned: Callable[[Snapshot, Plan], None] = lambda _, __: None
    watch: Watch = lambda _: None


def carry_out(change: Change) -> Plan:
    """Do what the intent wants; returns the plan that was carried out. With ``--dry-run`` plans are printed and nothing is done.

    A conflict (somebody else took a name, address or port meanwhile) is planned again; the same conflict twice is the answer.
    """
    refused = ""
    with _held(change):
        for _ in range(ATTEMPTS - 1):
            try:
                return _once(change)
            except (ComposeError, RuntimeFailure) as error:
                if not _is_conflict(error) or error.message == refused:
                    raise
                refused = error.message
        return _once(change)


def images(options: GlobalOptions, project: Project, intent: ImageIntent, *, title: str, quiet: bool = False) -> Project:
    """The first stage: pull and build what the intent needs; returns the project with what providers said in it."""
    return _images(options, project, intent, title, quiet=quiet)[0]


def _images(options: GlobalOptions, project: Project, intent: ImageIntent, title: str, *, quiet: bool) -> tuple[Project, Snapshot | None]:
    """``images``, and the host as it was seen, unless something was done to it since."""
    snapshot = observed(project, intent, compatibility=options.compatibility)
    plan = planner.plan_images(project, snapshot, intent)
    output.warn_all(plan.warnings)
    for service, variables in _perform(options, project, plan, title, quiet=quiet).items():
        project = planner.with_provider_variables(project, service, variables)
    return project, None if plan.steps else snapshot


def observed(project: Project, intent: Intent | ImageIntent, *, compatibility: bool = False) -> Snapshot:
    """The host, with the images and foreign containers that the intent asks about."""
    if isinstance(intent, Stop | Restart | Kill | Rm | Pause | Unpause):
        return observe.snapshot(project.name)
    return observe.snapshot(
        project.name,
        images=planner.image_references(project, compatibility=compatibility),
        neighbours=planner.neighbour_names(project),
    )


def _once(change: Change) -> Plan:
    intent, project, snapshot = change.intent, change.project, None
    if isinstance(intent, Up | Create | Scale | Run):
        project, snapshot = _images(change.options, project, intent, change.title, quiet=change.quiet_images or change.quiet)
    snapshot = snapshot or observed(project, intent, compatibility=change.options.compatibility)
    plan = planner.plan(project, snapshot, intent)
    if plan.questions and isinstance(intent, Up | Create) and not change.options.dry_run:
        agreed = frozenset(q.subject for q in plan.questions if output.confirm(q.text))
        plan = planner.plan(project, snapshot, replace(intent, agreed=agreed)) if agreed else plan
    output.warn_all(plan.warnings)
    change.planned(snapshot, plan)
    _perform(change.options, project, plan, change.title, quiet=change.quiet, muted=change.muted, watch=change.watch)
    return plan


def perform(options: GlobalOptions, project: Project, plan: Plan, title: str, *, quiet: bool = False) -> None:
    """Carry a finished plan out; the caller holds the project's lock when it must."""
    _perform(options, project, plan, title, quiet=quiet)


def _perform(
    options: GlobalOptions,
    project: Project,
    plan: Plan,
    title: str,
    *,
    quiet: bool,
    muted: Muted = never,
    watch: Watch = lambda _: None,
) -> dict[str, dict[str, str]]:
    if options.dry_run:
        _print(plan)
        return {}
    with progress.opened(options, title, muted=muted, quiet=quiet) as report:
        report.notes(plan.notes)
        return _execute(options, project, plan, report, watch) if plan.steps else {}


def _execute(options: GlobalOptions, project: Project, plan: Plan, report: Progress, watch: Watch) -> dict[str, dict[str, str]]:
    if any(isinstance(s.operation, StartContainer) for s in plan.steps):
        from runtime.engine import ahead

        ahead.for_starts(plan.project)  # it imports while we do

    import anyio

    from compose.cli.operations import ProjectOperations
    from compose.scheduler import execute
    from runtime.engine import Engine

    lock = threading.RLock()  # images are pulled and built by threads; their lines must not run into each other

    def told(event: Event) -> None:
        with lock:
            watch(event)
            report(event)

    async def work() -> dict[str, dict[str, str]]:
        async with Engine(report=lambda p: told(_detail(p.resource, p.text, p.current, p.total, p.warning))) as engine:
            operations = ProjectOperations(engine, project, told, report.builds)
            await execute(plan, engine, told, parallel=options.parallel, instead=operations.table())
        return operations.provided

    return anyio.run(work)


def _detail(resource: str, text: str, current: int, total: int, warning: bool) -> StepProgress:
    return StepProgress(resource=resource, text=text, current=current, total=total, warning=warning)


def _print(plan: Plan) -> None:
    """What would be done: Docker Compose's lines on stderr, the plan itself on stdout."""
    shown = [w for s in plan.steps if s.resource for w in ((s.resource, s.doing), (s.resource, s.done)) if w[1]]
    for resource, text in (*plan.notes, *shown):
        output.note(f" DRY-RUN MODE -  {resource}  {text}")
    if plan.steps:
        output.data(str(plan))


@contextmanager
def _held(change: Change) -> Iterator[None]:
    """The project's lock, unless nothing will be changed."""
    if change.options.dry_run:
        yield
        return
    from runtime.engine import ahead

    with locked(f"{paths().project_run(change.project.name)}/lock") as lock:
        ahead.tidy(change.project.name)
        ahead.share(lock)
        yield
        ahead.dismiss(change.project.name)


def _is_conflict(error: BaseException | None) -> bool:
    while error is not None and not isinstance(error, Conflict):
        error = error.__cause__
    return error is not None
