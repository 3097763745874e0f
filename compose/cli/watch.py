"""``watch``: what ``develop.watch`` says is done when files change: sync, restart, rebuild. In the command's process."""

from __future__ import annotations

import os
import tarfile
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import field

import click

from compose.cli import listing, output, project
from compose.cli.change import Change, carry_out
from compose.cli.group import Command
from compose.cli.options import GlobalOptions
from compose.cli.scanning import Changes, Patterns, Seen, compare, scan
from compose.errors import ComposeError, UsageError
from compose.intent import Restart, Up
from compose.model import Project, Service, WatchRule
from runtime import observe
from runtime.engine import access, archive, images
from runtime.errors import RuntimeFailure
from runtime.record import dataclass
from runtime.spec import ExecSpec
from runtime.state import ContainerState

_EVERY = 0.5


@click.command(cls=Command)
@click.argument("services", nargs=-1, metavar="[SERVICE...]")
@click.option("--no-up", is_flag=True, help="Do not build and start services before watching.")
@click.option("--prune/--no-prune", default=True, help="Remove images that a rebuild replaced (default true).")
@click.option("--quiet", is_flag=True, help="Do not show building.")
@click.pass_obj
def watch(options: GlobalOptions, services: tuple[str, ...], no_up: bool, prune: bool, quiet: bool) -> None:
    """Watch build context for service and rebuild/refresh containers when files are updated."""
    defined = project.load(options)
    watching = Watching(options, defined, services, prune=prune, quiet=quiet)
    if not no_up:
        intent = Up(services=services, build=not options.dry_run, compatibility=options.compatibility)
        carry_out(Change(options=options, project=defined, intent=intent, title="watch", quiet_images=quiet))
    if not options.dry_run:
        watching.run(threading.Event())


@contextmanager
def beside(options: GlobalOptions, defined: Project, services: Sequence[str]) -> Iterator[None]:
    """Watch in another thread meanwhile (``up --watch``)."""
    watching = Watching(options, defined, services, prune=True, quiet=True)
    stop = threading.Event()
    thread = threading.Thread(target=watching.run, args=(stop,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()


@dataclass(slots=True)
class _Watched:
    """One rule of one service, and the files as they were when it was looked at last."""

    service: Service
    rule: WatchRule
    patterns: Patterns
    seen: Seen = field(default_factory=dict)

    def changes(self) -> Changes:
        """What happened since the last time."""
        now = scan(self.rule.path, self.patterns)
        found, self.seen = compare(self.seen, now), now
        return found

    def target(self, path: str) -> str:
        """Where a file goes in the container."""
        below = os.path.relpath(path, self.rule.path)
        return self.rule.target if below == "." else os.path.normpath(os.path.join(self.rule.target, below))


class Watching:
    """The rules of the chosen services. Raises UsageError when there are none."""

    def __init__(self, options: GlobalOptions, defined: Project, services: Sequence[str], *, prune: bool, quiet: bool) -> None:
        project.refuse_undefined(services, {**defined.services, **defined.disabled_services})
        self._options = options
        self._project = defined
        self._prune = prune
        self._quiet = quiet
        chosen = [s for n, s in defined.services.items() if not services or n in services]
        self._rules = [_Watched(s, r, Patterns.of(r.ignore, r.include)) for s in chosen for r in s.develop]
        if not self._rules:
            raise UsageError(
                "none of the selected services is configured for watch, consider setting a 'develop' section",
                hint="services.NAME.develop.watch: [{path: ., action: sync, target: /app}]",
            )

    def run(self, stop: threading.Event) -> None:
        """Look and act until ``stop``; failures are said, and watching goes on."""
        for watched in self._rules:
            watched.seen = scan(watched.rule.path, watched.patterns)
            if watched.rule.initial_sync and "sync" in watched.rule.action:
                self._guarded(watched, Changes(tuple(watched.seen)))
        output.note("Watch enabled")
        while not stop.wait(_EVERY):
            for watched in self._rules:
                if changes := watched.changes():
                    self._guarded(watched, changes)

    def _guarded(self, watched: _Watched, changes: Changes) -> None:
        try:
            self._act(watched, changes)
        except (ComposeError, RuntimeFailure) as failure:
            output.fail(failure)

    def _act(self, watched: _Watched, changes: Changes) -> None:
        name, action = watched.service.name, watched.rule.action
        if action == "rebuild":
            self._rebuild(name)
            return
        if action.startswith("sync"):
            count = len(changes.written) + len(changes.removed)
            output.note(f'Syncing service "{name}" after {count} changes were detected')
            for state in self._containers(name):
                _sync(state, watched, changes)
        if action.endswith("exec"):
            self._exec(watched)
        if action.endswith("restart"):
            self._carry_out(Restart(services=(name,), no_deps=True), "restart")
            output.note(f'service(s) ["{name}"] restarted')

    def _rebuild(self, name: str) -> None:
        output.note(f'Rebuilding service(s) ["{name}"] after changes were detected...')
        self._carry_out(Up(services=(name,), build=True, no_deps=True, compatibility=self._options.compatibility), "rebuild")
        if self._prune:
            images.prune(labels=(f"com.docker.compose.project={self._project.name}",))
        output.note(f'service(s) ["{name}"] successfully built')

    def _carry_out(self, intent: Up | Restart, title: str) -> None:
        change = Change(options=self._options, project=self._project, intent=intent, title=title, quiet_images=self._quiet)
        carry_out(change)

    def _containers(self, name: str) -> list[ContainerState]:
        states = observe.containers(self._project.name)
        return [s for s in states if listing.service(s) == name and s.running and not listing.is_oneoff(s)]

    def _exec(self, watched: _Watched) -> None:
        hook = watched.rule.exec
        if hook is None:
            return
        process = ExecSpec(
            argv=hook.command,
            environment=hook.environment,
            working_dir=hook.working_dir or None,
            user=hook.user or None,
            privileged=hook.privileged,
        )
        for state in self._containers(watched.service.name):
            access.wait(access.enter(state.spec.id, process, stdio=(-1, 1, 2)))


def _sync(state: ContainerState, watched: _Watched, changes: Changes) -> None:
    """Write changed files into a container and delete those that are gone."""
    if changes.removed:
        targets = [watched.target(p) for p in changes.removed]
        access.wait(access.enter(state.spec.id, ExecSpec(argv=("rm", "-rf", *targets), user="0"), stdio=(-1, 1, 2)))
    if not changes.written:
        return
    with tempfile.TemporaryFile() as file:
        with tarfile.open(fileobj=file, mode="w|") as tar:
            for path in changes.written:
                if os.path.lexists(path):
                    tar.add(path, arcname=watched.target(path).lstrip("/"), recursive=False)
        file.flush()
        os.lseek(file.fileno(), 0, os.SEEK_SET)
        archive.unpack(state.spec.id, "/", file.fileno())
