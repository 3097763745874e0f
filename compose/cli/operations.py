"""What the scheduler calls: the engine's methods, with hooks, providers and builds translated from the Compose model. In the command's process."""

from __future__ import annotations

from collections.abc import Callable

from compose.events import Event, StepProgress
from compose.model import Build, Hook, Project, Provider
from compose.plan import BuildImage
from runtime.engine import Engine, outside
from runtime.engine.build import BuildEvent, Builds, StepStarted
from runtime.errors import RegistryError
from runtime.spec import ExecSpec

Show = Callable[[str, BuildEvent], None]


class Operations:
    """An engine that knows the Compose model. ``provided`` holds the variables that providers set, by their service.

    ``show`` takes a build's events by service; without it, they become details of the step.
    """

    def __init__(self, engine: Engine, project: Project, tell: Callable[[Event], None], show: Show | None) -> None:
        self.provided: dict[str, dict[str, str]] = {}
        self._engine = engine
        self._project = project
        self._tell = tell
        self._show = show
        self._builds: Builds | None = None

    def __getattr__(self, name: str) -> object:
        return getattr(self._engine, name)

    async def run_hook(self, container: str, service: str, kind: str, hook: Hook) -> None:
        """Run a lifecycle hook in a running container. Raises RuntimeFailure when it fails."""
        process = ExecSpec(
            argv=hook.command,
            environment=hook.environment,
            working_dir=hook.working_dir or None,
            user=hook.user or None,
            privileged=hook.privileged,
        )
        await self._engine.run_hook(container, service, kind, process)

    async def run_provider(self, project: str, service: str, provider: Provider, command: str) -> None:
        """Run an outside provider; what it sets reaches the services that depend on it. Raises RuntimeFailure when it fails."""
        found = await outside.run_provider(
            project, service, provider.type, provider.options, command, lambda text: self._say(f"Service {service}", text)
        )
        if command == "up":
            self.provided[service] = found

    async def build_image(
        self, service: str, reference: str, build: Build, project: str, platform: str, no_cache: bool, pull: bool, try_pull: bool
    ) -> None:
        """Build an image, or pull it when a registry has it and ``try_pull`` is set. Raises BuildError."""
        if try_pull and await self._pulled(service, reference, platform):
            return
        from compose.build import of_operation

        operation = BuildImage(
            service=service, reference=reference, build=build, project=project, platform=platform, no_cache=no_cache, pull=pull
        )
        if self._builds is None:
            self._builds = Builds(self._engine.where)
        await self._builds.build(of_operation(operation, self._project), self._watcher(service, reference))

    async def _pulled(self, service: str, reference: str, platform: str) -> bool:
        try:
            await self._engine.pull_image(service, reference, platform, "always")
        except RegistryError:
            return False
        return True

    def _watcher(self, service: str, reference: str) -> Callable[[BuildEvent], None]:
        show = self._show
        if show is not None:
            return lambda event: show(service, event)
        return lambda event: self._build_detail(f"Image {reference}", event)

    def _build_detail(self, resource: str, event: BuildEvent) -> None:
        if isinstance(event, StepStarted):
            self._say(resource, f"Building {event.name}")

    def _say(self, resource: str, text: str) -> None:
        self._tell(StepProgress(resource=resource, text=text))
