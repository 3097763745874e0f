"""Instructions that change the configuration and no file: ENV, ARG, LABEL, CMD … Pure. Errors are ValueError; the caller adds the place."""

from __future__ import annotations

import posixpath
import re
import signal
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import assert_never

from runtime.build.draft import Draft
from runtime.build.instructions import (
    Arg,
    Command,
    Copy,
    Env,
    Expose,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Run,
    Shell,
    StopSignal,
    User,
    VolumePaths,
    Workdir,
)  # fmt: skip
from runtime.build.state import StageState
from runtime.build.syntax import expander, word_splitter
from runtime.record import dataclass

_PORT = re.compile(r"(?:.*:)?(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)

# Usable without ARG, never part of the cache's key nor of the image (Dockerfile reference, "Predefined ARGs")
PROXY_ARGUMENTS = (
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What expansion needs: the escape character, ``given`` build arguments, ``globals_`` (ARGs before FROM, platform arguments)."""

    escape: str = "\\"
    given: Mapping[str, str] = field(default_factory=dict)
    globals_: Mapping[str, str] = field(default_factory=dict)

    def expand(self, state: StageState) -> Callable[[str], str]:
        """Replaces variables in a word by what is in force."""
        return expander(self.escape, state.variables)


def global_arguments(arguments: tuple[Arg, ...], scope: Scope) -> dict[str, str]:
    """ARGs before the first FROM, each seeing those before it and the platform's."""
    known = dict(scope.globals_)
    for argument in arguments:
        for name, default in argument.values:
            value = scope.given.get(name)
            if value is None and default is not None:
                value = expander(scope.escape, known)(default)
            if value is not None:
                known[name] = value
    return known


def apply(state: StageState, instruction: Instruction, scope: Scope) -> StageState:
    """The state after an instruction that makes no layer."""
    expand = scope.expand(state)
    match instruction:
        case Env():
            return _env(state, {expand(k): expand(v) for k, v in instruction.values})
        case Arg():
            return _arg(state, instruction, scope)
        case Label():
            return _label(state, {expand(k): expand(v) for k, v in instruction.values})
        case User():
            user = expand(instruction.user)
            return _changed(state, state.draft.with_(User=user), f"USER {user}")
        case Expose():
            return _expose(state, word_splitter(scope.escape, state.variables), instruction)
        case VolumePaths():
            return _volumes(state, [expand(path) for path in instruction.paths])
        case StopSignal():
            name = stop_signal(expand(instruction.signal))
            return _changed(state, state.draft.with_(StopSignal=name), f"STOPSIGNAL {name}")
        case Command():
            return _command(state, instruction)
        case Healthcheck():
            return _changed(state, state.draft.with_(Healthcheck=_health(instruction)), _health_shown(instruction))
        case Shell():
            return _changed(state, state.draft.with_(Shell=list(instruction.arguments)), f"SHELL [{' '.join(instruction.arguments)}]")
        case OnBuild():
            triggers = [*state.draft.texts("OnBuild"), instruction.trigger]
            return replace(state, draft=state.draft.with_(OnBuild=triggers))
        case Maintainer():
            draft = replace(state.draft, top={**state.draft.top, "author": instruction.name})
            return _changed(state, draft, f"MAINTAINER {instruction.name}")
        case Run() | Copy() | Workdir():
            raise TypeError(instruction)
        case _:
            assert_never(instruction)


def working_dir(state: StageState, path: str) -> str:
    """WORKDIR's new value: an absolute path as it is written, a relative one below the old value and cleaned, as Docker has it."""
    if path.startswith("/"):
        return path
    return "/" + posixpath.normpath(posixpath.join(state.draft.working_dir, path)).lstrip("/")


def argv(state: StageState, arguments: tuple[str, ...], *, shell: bool) -> list[str]:
    """What is executed: the arguments, or the image's shell with them as one line."""
    return [*state.draft.shell, " ".join(arguments)] if shell else list(arguments)


def stop_signal(text: str) -> str:
    """A checked signal: a name with or without SIG, or a number."""
    name = text.upper().removeprefix("SIG")
    known = {s.name.removeprefix("SIG") for s in signal.Signals}
    if name in known or re.fullmatch(r"RTM(IN|AX)([+-]\d+)?", name) or (name.isdigit() and 0 < int(name) < 65):
        return text
    raise ValueError(f"invalid signal: {text!r}")


def _changed(state: StageState, draft: Draft, created_by: str) -> StageState:
    return replace(state, draft=draft.recorded(created_by))


def _env(state: StageState, values: Mapping[str, str]) -> StageState:
    shown = " ".join(f"{k}={v}" for k, v in values.items())
    after = _changed(state, state.draft.with_environment(values), f"ENV {shown}")
    return replace(after, variables={**state.variables, **values})


def _arg(state: StageState, argument: Arg, scope: Scope) -> StageState:
    variables, arguments = dict(state.variables), dict(state.arguments)
    shown = []
    for name, default in argument.values:
        value = scope.given.get(name)
        if value is None and default is not None:
            value = expander(scope.escape, variables)(default)
        elif value is None:
            value = scope.globals_.get(name)
        shown.append(name if value is None else f"{name}={value}")
        if value is not None:
            variables[name] = arguments[name] = value
    after = _changed(state, state.draft, f"ARG {' '.join(shown)}")
    declared = tuple(dict.fromkeys((*state.declared, *(name for name, _ in argument.values))))
    return replace(after, variables=variables, arguments=arguments, declared=declared)


def _label(state: StageState, values: Mapping[str, str]) -> StageState:
    shown = " ".join(f"{k}={v}" for k, v in values.items())
    return _changed(state, state.draft.with_(Labels={**state.draft.mapping("Labels"), **values}), f"LABEL {shown}")


def _expose(state: StageState, words: Callable[[str], list[str]], instruction: Expose) -> StageState:
    ports = [p for word in sorted(instruction.ports) for text in words(word) for p in exposed(text)]
    draft = state.draft.with_(ExposedPorts=dict(sorted({**state.draft.mapping("ExposedPorts"), **{p: {} for p in ports}}.items())))
    return _changed(state, draft, f"EXPOSE [{' '.join(ports)}]")


def exposed(text: str) -> list[str]:
    """The ports ("8000/tcp") of "8000", "8000-8002/udp", "127.0.0.1:80:8000"."""
    match = _PORT.fullmatch(text)
    if match is None:
        raise ValueError(f"invalid containerPort: {text}")
    first, last = int(match[1]), int(match[2] or match[1])
    if not 0 < first <= last <= 65535:
        raise ValueError(f"invalid containerPort: {text}")
    return [f"{port}/{(match[3] or 'tcp').lower()}" for port in range(first, last + 1)]


def _volumes(state: StageState, paths: list[str]) -> StageState:
    if not all(paths):
        raise ValueError("VOLUME specified can not be an empty string")
    draft = state.draft.with_(Volumes={**state.draft.mapping("Volumes"), **{path: {} for path in paths}})
    return _changed(state, draft, f"VOLUME [{' '.join(paths)}]")


def _command(state: StageState, command: Command) -> StageState:
    words = argv(state, command.arguments, shell=command.shell)
    shown = " ".join(map(quoted, words))
    if command.entrypoint:
        draft = state.draft.with_(Entrypoint=words)
        draft = draft if state.command_set else draft.with_(Cmd=None)
        return _changed(state, draft, f"ENTRYPOINT [{shown}]")
    after = _changed(state, state.draft.with_(Cmd=words, ArgsEscaped=True), f"CMD [{shown}]")
    return replace(after, command_set=True)


def _health(check: Healthcheck) -> dict[str, object]:
    numbers = {
        "Interval": check.interval,
        "Timeout": check.timeout,
        "StartPeriod": check.start_period,
        "StartInterval": check.start_interval,
        "Retries": check.retries,
    }
    return {"Test": list(check.test), **{k: v for k, v in numbers.items() if v}}


def _health_shown(check: Healthcheck) -> str:
    """How BuildKit writes it into the history: Go's %q of the whole structure."""
    times = " ".join(f'"{period(t)}"' for t in (check.interval, check.timeout, check.start_period, check.start_interval))
    return f"HEALTHCHECK &{{[{' '.join(map(quoted, check.test))}] {times} '\\x{check.retries:02x}'}}"


def period(nanoseconds: int) -> str:
    """A length of time as Go prints it: 1m30s, 500ms, 0s."""
    if nanoseconds < 1_000_000_000:
        return f"{nanoseconds / 1e6:g}ms" if nanoseconds else "0s"
    minutes, rest = divmod(nanoseconds, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    return f"{f'{hours}h' if hours else ''}{f'{minutes}m' if hours or minutes else ''}{rest / 1e9:g}s"


def quoted(word: str) -> str:
    """A word in quotes, as Go prints it."""
    import json

    return json.dumps(word, ensure_ascii=False)
