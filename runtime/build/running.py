"""RUN: a command in a container over the layers so far. The command's process prepares; ``runtime.build.runner``, a process of its own, launches."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping

import anyio
from anyio.abc import Process

from runtime import codec, security
from runtime.build.instructions import Run
from runtime.build.request import BuildRequest
from runtime.build.runner import RunOrder, RunResult
from runtime.build.state import StageState
from runtime.build.syntax import whole_heredoc
from runtime.bundle import DEFAULT_SHM_SIZE, Bundle, CgroupPlan, Confinement, NamespacePlan, RootPlan, seccomp_filter_path
from runtime.bundle_mounts import BindEntry, MountEntry
from runtime.errors import BuildError
from runtime.record import dataclass
from runtime.spec import Resources
from runtime.store import Paths, read_file

HOSTNAME = "buildkitsandbox"
_PACKAGE_ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_SCRIPTS = "/dev/pipes"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCommand:
    """What a RUN executes: its argv, and the script that a here-document with a #! line becomes ("" for none)."""

    argv: tuple[str, ...]
    script_name: str = ""
    script: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlaces:
    """``upper`` takes the changes; ``staging`` is a directory for the step alone, on the same file system."""

    staging: str
    upper: str
    lowers: tuple[str, ...]


def command(run: Run, shell: tuple[str, ...]) -> RunCommand:
    """The command of a RUN in shell, exec or here-document form. Raises ValueError for a here-document after an argv."""
    if not run.heredocs:
        return RunCommand(argv=(*shell, " ".join(run.arguments)) if run.shell else run.arguments)
    if len(run.arguments) != 1 or not run.shell:
        raise ValueError("a here-document needs the shell form")
    line, first = run.arguments[0], run.heredocs[0]
    if not whole_heredoc(line):
        return RunCommand(argv=(*shell, "\n".join([line, *(h.content + h.name for h in run.heredocs)])))
    if first.text.startswith("#!"):
        return RunCommand(argv=(*shell, f"{_SCRIPTS}/{first.name}"), script_name=first.name, script=first.text)
    return RunCommand(argv=(*shell, first.text))


def shown(argv: tuple[str, ...]) -> str:
    """An argv as messages show it."""
    return " ".join(argv)


def files(places: RunPlaces, what: RunCommand, extra_hosts: tuple[tuple[str, str], ...]) -> list[MountEntry]:
    """/etc/hosts, /etc/resolv.conf and a here-document's script, as mounts that leave nothing in the image."""
    hosts = [f"127.0.0.1\tlocalhost {HOSTNAME}", "::1\tlocalhost ip6-localhost ip6-loopback"]
    hosts += [f"{address}\t{name}" for name, address in extra_hosts]
    made: list[MountEntry] = [
        _file(places, "hosts", "\n".join(hosts) + "\n", "/etc/hosts", 0o644),
        _file(places, "resolv.conf", (read_file("/etc/resolv.conf") or b"").decode(errors="replace"), "/etc/resolv.conf", 0o644),
    ]
    if what.script:
        made.append(_file(places, "script", what.script, f"{_SCRIPTS}/{what.script_name}", 0o755))
    return made


def _file(places: RunPlaces, name: str, text: str, target: str, mode: int) -> BindEntry:
    path = f"{places.staging}/{name}"
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(text)
    os.chmod(path, mode)
    return BindEntry(source=path, target=target, read_only=True)


def bundle(
    state: StageState, run: Run, what: RunCommand, request: BuildRequest, places: RunPlaces, paths: Paths,
    mounts: list[MountEntry], environment: Mapping[str, str],
) -> Bundle:  # fmt: skip
    """The launch of a step: Docker's default confinement, or none at all for ``--security=insecure``."""
    insecure = run.security == "insecure"
    capabilities = security.capability_set((), (), privileged=insecure)
    name = os.path.basename(places.staging)
    return Bundle(
        id=name,
        root=RootPlan(lowers=places.lowers, upper=places.upper, work=f"{places.staging}/work", mountpoint=f"{places.staging}/root"),
        mounts=tuple(sorted(mounts, key=lambda m: m.target.count("/"))),
        argv=what.argv,
        environment={**environment},
        cwd=state.draft.working_dir,
        user=state.draft.text("User"),
        hostname=HOSTNAME,
        privileged=insecure,
        namespaces=NamespacePlan(network=network(run, request)),
        cgroup=CgroupPlan(path=f"pycompose/build/{name}", resources=Resources(memory=request.memory), all_devices=insecure),
        confinement=Confinement(
            capabilities=capabilities,
            seccomp_filter="" if insecure else seccomp_filter_path(paths.root, "", capabilities),
            masked_paths=() if insecure else security.MASKED_PATHS,
            readonly_paths=() if insecure else security.READONLY_PATHS,
        ),
        ulimits=request.ulimits,
        shm_size=request.shm_size or DEFAULT_SHM_SIZE,
    )


def network(run: Run, request: BuildRequest) -> str:
    """The network of a step: the instruction's word before the build's; the host's unless one says otherwise."""
    wanted = run.network if run.network not in ("", "default") else request.network
    return "host" if wanted in ("", "default", "host") else wanted


async def execute(launch: Bundle, result: str, output: Callable[[bytes], None]) -> None:
    """Run the step to its end; ``output`` gets what it prints. Raises BuildError when it fails; cancelling kills it."""
    program = f"import sys; sys.path.insert(0, {_PACKAGE_ROOT!r}); from runtime.build import runner; runner.main()"
    process = await anyio.open_process([sys.executable, "-I", "-S", "-c", program], stderr=-2, start_new_session=True)
    try:
        if process.stdin is None or process.stdout is None:
            raise BuildError("a step's process has no pipes")
        await process.stdin.send(codec.dumps(RunOrder(bundle=launch, result=result)).encode("utf-8", "surrogateescape") + b"\n")
        async for piece in process.stdout:
            output(piece)
        await process.wait()
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
    _check(launch, result, process.returncode)


async def _end(process: Process) -> None:
    """Close its standard input, at which it kills the step and ends; insist after some seconds."""
    if process.stdin is not None:
        await process.stdin.aclose()
    if process.returncode is None:
        with anyio.move_on_after(10):
            await process.wait()
    if process.returncode is None:
        process.kill()
        await process.wait()
    await process.aclose()


def _check(launch: Bundle, result: str, returncode: int | None) -> None:
    content = read_file(result)
    outcome = codec.loads(RunResult, content) if content else RunResult(exit_code=137 if returncode is None else returncode)
    if outcome.error:
        raise BuildError(outcome.error, hint=outcome.hint or None)
    if outcome.exit_code or returncode:
        raise BuildError(f'process "{shown(launch.argv)}" did not complete successfully: exit code: {outcome.exit_code or returncode}')
