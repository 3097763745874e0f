"""Parsed lines to typed instructions and stages. Pure. Every mistake is a BuildError that shows its line."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from runtime.build import flags as flag_words
from runtime.build.instructions import (
    Arg,
    Command,
    Copy,
    Dockerfile,
    Env,
    Expose,
    From,
    Healthcheck,
    Instruction,
    Label,
    Maintainer,
    OnBuild,
    Run,
    Shell,
    Stage,
    StopSignal,
    User,
    VolumePaths,
    Workdir,
)  # fmt: skip
from runtime.build.syntax import Heredoc, Line, Source, fault, whole_heredoc

T = TypeVar("T")
_STAGE_NAME = re.compile(r"[a-z][a-z0-9_.-]*")


def read(source: Source) -> Dockerfile:
    """The stages of a Dockerfile. Raises BuildError."""
    arguments: list[Arg] = []
    stages: list[Stage] = []
    body: list[Instruction] = []
    for line in source.instructions:
        if line.name == "FROM":
            _close(stages, body)
            stages.append(_stage(source, line, len(stages)))
        elif stages:
            body.append(instruction(source, line))
        elif line.name == "ARG":
            arguments.append(_guarded(source, line, _arg))
        else:
            raise fault(
                source, line.place, f"no build stage in current context: {line.name} before FROM", hint="a Dockerfile begins with FROM"
            )
    _close(stages, body)
    if not stages:
        raise fault(source, source.instructions[-1].place, "no build stage in the Dockerfile", hint="a Dockerfile needs a FROM")
    return Dockerfile(arguments=tuple(arguments), stages=tuple(stages))


def instruction(source: Source, line: Line) -> Instruction:
    """One instruction inside a stage. Raises BuildError."""
    reader = _READERS.get(line.name)
    if reader is None:
        raise fault(source, line.place, f"{line.name} may not stand here")
    return _guarded(source, line, reader)


def _guarded(source: Source, line: Line, reader: Callable[[Line], T]) -> T:
    try:
        return reader(line)
    except ValueError as error:
        raise fault(source, line.place, f"{line.name}: {error}") from None


def _close(stages: list[Stage], body: list[Instruction]) -> None:
    if stages:
        last = stages.pop()
        stages.append(Stage(number=last.number, base=last.base, name=last.name, instructions=tuple(body)))
        body.clear()


def _stage(source: Source, line: Line, number: int) -> Stage:
    base = _guarded(source, line, _from)
    return Stage(number=number, base=base, name=base.alias)


def _from(line: Line) -> From:
    flags = flag_words.split(line.flags, ("platform",), ())
    words = line.args
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].lower() != "as"):
        raise ValueError("needs one argument, or three: FROM image [AS name]")
    alias = words[2].lower() if len(words) == 3 else ""
    if alias and not _STAGE_NAME.fullmatch(alias):
        raise ValueError(f"invalid name for build stage: {words[2]!r}; it begins with a letter, then letters, digits, '_', '.', '-'")
    return From(place=line.place, image=words[0], platform=_one(flags, "platform"), alias=alias)


def _one(flags: dict[str, list[str]], name: str) -> str:
    return flags[name][-1] if name in flags else ""


def _arg(line: Line) -> Arg:
    flag_words.split(line.flags, (), ())
    if not line.args:
        raise ValueError("needs at least one name")
    values = []
    for word in line.args:
        name, equals, value = word.partition("=")
        if not name:
            raise ValueError("names may not be blank")
        values.append((name, value if equals else None))
    return Arg(place=line.place, values=tuple(values))


def _pairs(line: Line) -> tuple[tuple[str, str], ...]:
    flag_words.split(line.flags, (), ())
    if not line.args:
        raise ValueError("needs at least one argument: name=value")
    pairs = tuple((line.args[i], line.args[i + 1]) for i in range(0, len(line.args), 3))
    if any(not name for name, _ in pairs):
        raise ValueError("names may not be blank")
    return pairs


def _env(line: Line) -> Env:
    return Env(place=line.place, values=_pairs(line))


def _label(line: Line) -> Label:
    return Label(place=line.place, values=_pairs(line))


def _run(line: Line) -> Run:
    flags = flag_words.split(line.flags, ("network", "security"), (), ("mount", "device"))
    if "device" in flags:
        raise ValueError("--device is not supported: builds get no devices")
    if line.json and not line.args:
        raise ValueError("needs a command")
    for text in flags.get("mount", ()):
        if "$" not in text:
            flag_words.mount(text)
        else:
            flag_words.mount_fields(text)
    network = _one(flags, "network")
    if network not in ("", "default", "none", "host"):
        raise ValueError(f"--network is default, none or host, not {network!r}")
    security = _one(flags, "security")
    if security not in ("", "sandbox", "insecure"):
        raise ValueError(f"--security is sandbox or insecure, not {security!r}")
    return Run(
        place=line.place,
        arguments=line.args,
        shell=not line.json,
        heredocs=line.heredocs,
        mounts=tuple(flags.get("mount", ())),
        network=network,
        security=security,
    )


_COPY_VALUES = ("from", "chown", "chmod")
_ADD_VALUES = ("chown", "chmod", "checksum")


def _copy(line: Line) -> Copy:
    flags = flag_words.split(line.flags, _COPY_VALUES, ("link", "parents"), ("exclude",))
    return _copy_of(line, flags, add=False)


def _add(line: Line) -> Copy:
    flags = flag_words.split(line.flags, _ADD_VALUES, ("link", "keep-git-dir", "unpack"), ("exclude",))
    return _copy_of(line, flags, add=True)


def _copy_of(line: Line, flags: dict[str, list[str]], *, add: bool) -> Copy:
    if len(line.args) < 2:
        raise ValueError("needs at least two arguments: source… target")
    *words, target = line.args
    sources, heredocs = _sources(words, line.heredocs, json=line.json)
    if not line.json and line.heredocs and whole_heredoc(target):
        raise ValueError("the target may not be a here-document")
    checksum = _one(flags, "checksum")
    if checksum and not re.fullmatch(r"sha256:[0-9a-f]{64}|[0-9a-f]{40}", checksum):
        raise ValueError(f"--checksum is sha256:<64 hex digits>, not {checksum!r}")
    if "from" in flags and heredocs:
        raise ValueError("here-documents cannot come from another stage")
    return Copy(
        place=line.place,
        sources=sources,
        heredocs=heredocs,
        target=target,
        add=add,
        origin=_one(flags, "from"),
        chown=_one(flags, "chown"),
        chmod=_one(flags, "chmod"),
        link=flag_words.truth(flags.get("link")),
        parents=flag_words.truth(flags.get("parents")),
        exclude=tuple(flags.get("exclude", ())),
        checksum=checksum,
        keep_git_dir=flag_words.truth(flags.get("keep-git-dir")),
        unpack=flag_words.truth(flags["unpack"]) if "unpack" in flags else None,
    )


def _sources(words: list[str], heredocs: tuple[Heredoc, ...], *, json: bool) -> tuple[tuple[str, ...], tuple[Heredoc, ...]]:
    if json or not heredocs:
        return tuple(words), ()
    return tuple(word for word in words if not whole_heredoc(word)), heredocs


def _single(line: Line) -> str:
    flag_words.split(line.flags, (), ())
    if len(line.args) != 1:
        raise ValueError("needs exactly one argument")
    return line.args[0]


def _workdir(line: Line) -> Workdir:
    return Workdir(place=line.place, path=_single(line))


def _user(line: Line) -> User:
    return User(place=line.place, user=_single(line))


def _maintainer(line: Line) -> Maintainer:
    return Maintainer(place=line.place, name=_single(line))


def _stop_signal(line: Line) -> StopSignal:
    return StopSignal(place=line.place, signal=_single(line))


def _several(line: Line, what: str) -> tuple[str, ...]:
    flag_words.split(line.flags, (), ())
    if not line.args:
        raise ValueError(f"needs at least one {what}")
    if any(not word for word in line.args):
        raise ValueError(f"a {what} may not be empty")
    return line.args


def _expose(line: Line) -> Expose:
    return Expose(place=line.place, ports=_several(line, "port"))


def _volume(line: Line) -> VolumePaths:
    return VolumePaths(place=line.place, paths=_several(line, "path"))


def _command(line: Line) -> Command:
    flag_words.split(line.flags, (), ())
    return Command(place=line.place, entrypoint=line.name == "ENTRYPOINT", arguments=line.args, shell=not line.json)


def _shell(line: Line) -> Shell:
    flag_words.split(line.flags, (), ())
    if not line.json or not line.args:
        raise ValueError('needs the arguments as JSON: SHELL ["/bin/sh", "-c"]')
    return Shell(place=line.place, arguments=line.args)


def _healthcheck(line: Line) -> Healthcheck:
    flags = flag_words.split(line.flags, ("interval", "timeout", "start-period", "start-interval", "retries"), ())
    if not line.args:
        raise ValueError("needs CMD or NONE")
    kind, *rest = line.args
    if kind.upper() == "NONE":
        if rest or flags:
            raise ValueError("NONE takes no arguments")
        return Healthcheck(place=line.place, test=("NONE",))
    if kind.upper() != "CMD":
        raise ValueError(f"unknown type {kind!r}; there are CMD and NONE")
    if not rest:
        raise ValueError("missing command after HEALTHCHECK CMD")
    return Healthcheck(
        place=line.place,
        test=("CMD" if line.json else "CMD-SHELL", *rest),
        interval=_period(flags, "interval"),
        timeout=_period(flags, "timeout"),
        start_period=_period(flags, "start-period"),
        start_interval=_period(flags, "start-interval"),
        retries=_retries(_one(flags, "retries")),
    )


def _period(flags: dict[str, list[str]], name: str) -> int:
    text = _one(flags, name)
    found = flag_words.duration(text) if text else 0
    if found and found < 1_000_000:
        raise ValueError(f"--{name} cannot be less than 1ms")
    return found


def _retries(text: str) -> int:
    if not text:
        return 0
    if not text.isdigit():
        raise ValueError(f"--retries is a number, not {text!r}")
    return int(text)


def _on_build(line: Line) -> OnBuild:
    trigger = re.sub(r"^\s*onbuild\s*", "", line.place.text, flags=re.IGNORECASE).strip()
    word = trigger.split(None, 1)[0].upper() if trigger else ""
    if not word:
        raise ValueError("needs an instruction")
    if word in ("ONBUILD", "FROM", "MAINTAINER"):
        raise ValueError(f"{word} isn't allowed as an ONBUILD trigger")
    return OnBuild(place=line.place, trigger=trigger)


_READERS: dict[str, Callable[[Line], Instruction]] = {
    "ADD": _add, "ARG": _arg, "CMD": _command, "COPY": _copy, "ENTRYPOINT": _command, "ENV": _env, "EXPOSE": _expose, "HEALTHCHECK": _healthcheck,
    "LABEL": _label, "MAINTAINER": _maintainer, "ONBUILD": _on_build, "RUN": _run, "SHELL": _shell, "STOPSIGNAL": _stop_signal, "USER": _user,
    "VOLUME": _volume, "WORKDIR": _workdir,
}  # fmt: skip
