"""Operations that run other programs: lifecycle hooks inside containers, and outside providers (Compose's provider protocol)."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial

import anyio
from anyio import to_thread

from runtime.engine import access
from runtime.errors import NotFound, RuntimeFailure
from runtime.spec import ExecSpec
from runtime.store import Paths

_LONGEST_OUTPUT = 1 << 16


async def run_hook(where: Paths, container: str, service: str, process: ExecSpec, say: Callable[[str], None]) -> None:
    """Run a hook in a running container; its output is said line by line, its failure raised."""
    reading, writing = os.pipe()
    try:
        entered = await to_thread.run_sync(partial(access.enter, container, process, stdio=(-1, writing, writing), where=where))
    finally:
        os.close(writing)
    with os.fdopen(reading, "rb") as output:
        async for line in anyio.wrap_file(output):
            say(line[:_LONGEST_OUTPUT].decode(errors="replace").rstrip("\n"))
    code = await to_thread.run_sync(access.wait, entered, abandon_on_cancel=True)
    if code != 0:
        raise RuntimeFailure(f"{service} hook exited with status {code}")


async def run_provider(
    project: str, service: str, program: str, options: Mapping[str, Sequence[str]], command: str, say: Callable[[str], None]
) -> dict[str, str]:
    """Run ``PROGRAM compose --project-name=P COMMAND [--option=value …] SERVICE``; returns the variables it set for its dependents."""
    path = shutil.which(program) or shutil.which(f"docker-{program}")
    if path is None:
        raise NotFound(f"service {service}: provider {program} is not on PATH", hint="install it, or remove provider: from the service")
    flags = [f"--{key}={value}" for key, values in options.items() for value in values] if command == "up" else []
    found: dict[str, str] = {}
    argv = [path, "compose", f"--project-name={project}", command, *flags, service]
    async with await anyio.open_process(argv, stdin=None, stderr=None) as process:
        if process.stdout is not None:
            rest = ""
            async for chunk in process.stdout:
                *lines, rest = (rest + chunk.decode(errors="replace")).split("\n")
                for line in lines:
                    _provider_line(service, line, found, say)
        code = await process.wait()
    if code != 0:
        raise RuntimeFailure(f"service {service}: provider {program} {command} ended with {code}")
    return found


def _provider_line(service: str, line: str, found: dict[str, str], say: Callable[[str], None]) -> None:
    try:
        message = json.loads(line)
    except ValueError:
        return
    kind, text = message.get("type"), str(message.get("message", ""))
    key, _, value = text.partition("=")
    match kind:
        case "error":
            raise RuntimeFailure(f"service {service}: {text}")
        case "info":
            say(text)
        case "setenv":
            found[f"{service.upper().replace('-', '_')}_{key}"] = value
        case "rawsetenv":
            found[key] = value
