"""Operations that need the whole project: builds, and providers whose variables go to other services. In the command's process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from compose.events import Event, StepProgress
from compose.model import Project
from compose.plan import BuildImage, RunProvider
from runtime.engine import Engine
from runtime.engine.build import BuildEvent, Builds, StepStarted
from runtime.errors import RegistryError

Show = Callable[[str, BuildEvent], None]


class ProjectOperations:
    """What the scheduler calls instead of the engine. ``provided`` holds the variables that providers set, by their service.

    ``show`` takes a build's events by service; without it, they become details of the step.
    """

    def __init__(self, engine: Engine, project: Project, tell: Callable[[Event], None], show: Show | None) -> None:
        self.provided: dict[str, dict[str, str]] = {}
        self._engine = engine
        self._project = project
        self._tell = tell
        self._show = show
        self._builds = Builds(engine.where)

    def table(self) -> Mapping[type, Callable[..., Awaitable[object]]]:
        """Kind of operation → who carries it out."""
        return {BuildImage: self.build_image, RunProvider: self.run_provider}

    async def run_provider(self, operation: RunProvider) -> None:
        """Run an outside provider; what it sets reaches the services that depend on it. Raises RuntimeFailure when it fails."""
        from runtime.engine import outside

        provider, service = operation.provider, operation.service
        say = self._sayer(f"Service {service}")
        found = await outside.run_provider(operation.project, service, provider.type, provider.options, operation.command, say)
        if operation.command == "up":
            self.provided[service] = found

    async def build_image(self, operation: BuildImage) -> None:
        """Build an image, or pull it when a registry has it and ``try_pull`` is set. Raises BuildError."""
        if operation.try_pull and await self._pulled(operation):
            return
        from compose.build import of_operation

        await self._builds.build(of_operation(operation, self._project), self._watcher(operation))

    async def _pulled(self, operation: BuildImage) -> bool:
        try:
            await self._engine.pull_image(operation.service, operation.reference, operation.platform, "always")
        except RegistryError:
            return False
        return True

    def _watcher(self, operation: BuildImage) -> Callable[[BuildEvent], None]:
        show, say = self._show, self._sayer(f"Image {operation.reference}")
        if show is not None:
            return lambda event: show(operation.service, event)
        return lambda event: say(f"Building {event.name}") if isinstance(event, StepStarted) else None

    def _sayer(self, resource: str) -> Callable[[str], None]:
        return lambda text: self._tell(StepProgress(resource=resource, text=text))
