"""BuildKit's checks of a Dockerfile, and what can be told of a build without building. Reads the Dockerfile only; in the command's process."""

from __future__ import annotations

import re
from collections.abc import Iterator

from runtime.build import context as contexts
from runtime.build import graph, metadata, platform, reader
from runtime.build.events import BuildWarning
from runtime.build.instructions import Arg, Command, Copy, Dockerfile, Env, Healthcheck, Instruction, Label, Maintainer, Stage, Workdir
from runtime.build.request import BuildRequest
from runtime.build.syntax import Line, Place, Source, expander
from runtime.errors import RuntimeFailure

_SECRET_NAMES = re.compile(r"(?i)(?:^|_)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)")
_RESERVED = ("scratch", "context")


def base_images(request: BuildRequest) -> set[str]:
    """The images in FROM that are neither stages nor further contexts; none when the Dockerfile cannot be read."""
    try:
        source = contexts.load(request, "").source()
        dockerfile = reader.read(source)
        scope = metadata.Scope(escape=source.escape, given=request.arguments, globals_=platform.arguments(request.target))
        expand = expander(source.escape, metadata.global_arguments(dockerfile.arguments, scope))
        images = {(expand(stage.base.image), stage.number) for stage in dockerfile.stages}
    except (RuntimeFailure, ValueError, OSError):
        return set()
    return {image for image, number in images if graph.base_stage(dockerfile, image, number) is None and image not in request.contexts}


def check(request: BuildRequest) -> tuple[BuildWarning, ...]:
    """What the checks find, by line. Rules and words are BuildKit's (frontend/dockerfile/linter). Raises BuildError."""
    source = contexts.load(request, "").source()
    dockerfile = reader.read(source)
    skipped = _skipped(source.directives.get("check", ""))
    found = [*_lines(source), *_stages(dockerfile), *(w for s in dockerfile.stages for w in _stage(s))]
    return tuple(sorted((w for w in found if skipped != "all" and w.rule not in skipped), key=lambda w: w.line))


def _skipped(directive: str) -> str | frozenset[str]:
    match = re.search(r"skip=([\w,]+)", directive)
    if match is None:
        return frozenset()
    return "all" if match[1] == "all" else frozenset(match[1].split(","))


def _warning(rule: str, message: str, place: Place) -> BuildWarning:
    return BuildWarning(rule=rule, message=message, line=place.start)


def _lines(source: Source) -> Iterator[BuildWarning]:
    words = [line.place.text.split(None, 1)[0] for line in source.instructions]
    upper = sum(word == word.upper() for word in words) * 2 >= len(words)
    for line, word in zip(source.instructions, words, strict=True):
        if word != (word.upper() if upper else word.lower()):
            case = "uppercase" if upper else "lowercase"
            yield _warning(
                "ConsistentInstructionCasing", f"Command '{word}' should match the case of the command majority ({case})", line.place
            )
        yield from _line(line)
    for number, message in source.warnings:
        yield BuildWarning(rule="NoEmptyContinuation", message=message, line=number)


def _line(line: Line) -> Iterator[BuildWarning]:
    if line.name == "FROM" and len(line.args) == 3:
        keyword = line.place.text.split(None, 1)[0]
        if (line.args[1] == line.args[1].upper()) != (keyword == keyword.upper()):
            yield _warning("FromAsCasing", f"'{line.args[1]}' and '{keyword}' keywords' casing do not match", line.place)
        if line.args[2] != line.args[2].lower():
            yield _warning("StageNameCasing", f"Stage name '{line.args[2]}' should be lowercase", line.place)
    if line.name in ("ENV", "LABEL") and "" in line.args[2::3]:
        yield _warning(
            "LegacyKeyValueFormat", f'"{line.name} key=value" should be used instead of legacy "{line.name} key value" format', line.place
        )


def _stages(dockerfile: Dockerfile) -> Iterator[BuildWarning]:
    names = [stage.name for stage in dockerfile.stages if stage.name]
    for stage in dockerfile.stages:
        if stage.name in _RESERVED:
            yield _warning(
                "ReservedStageName", f'Stage name should not use the same name as reserved stage "{stage.name}"', stage.base.place
            )
        if stage.name and names.count(stage.name) > 1:
            yield _warning("DuplicateStageName", f'Duplicate stage name "{stage.name}", stage names should be unique', stage.base.place)
        if stage.base.platform in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
            message = f'Setting platform to predefined "{stage.base.platform}" in FROM is redundant as this is the default behavior'
            yield _warning("RedundantTargetPlatform", message, stage.base.place)


def _stage(stage: Stage) -> Iterator[BuildWarning]:
    base_is_absolute = False
    for instruction in stage.instructions:
        if isinstance(instruction, Workdir):
            if not instruction.path.startswith(("/", "$")) and not base_is_absolute:
                message = f'Relative workdir "{instruction.path}" can have unexpected results if the base image changes'
                yield _warning("WorkdirRelativePath", message, instruction.place)
            base_is_absolute = True
        yield from _instruction(instruction)
    for kind, name in ((Healthcheck, "HEALTHCHECK"), (Command, "CMD"), (Command, "ENTRYPOINT")):
        same = [
            i for i in stage.instructions if isinstance(i, kind) and (not isinstance(i, Command) or i.entrypoint == (name == "ENTRYPOINT"))
        ]
        for earlier in same[:-1]:
            message = f"Multiple {name} instructions should not be used in the same stage because only the last one will be used"
            yield _warning("MultipleInstructionsDisallowed", message, earlier.place)


def _instruction(instruction: Instruction) -> Iterator[BuildWarning]:
    match instruction:
        case Maintainer():
            yield _warning("MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label", instruction.place)
        case Command() if instruction.shell:
            name = "ENTRYPOINT" if instruction.entrypoint else "CMD"
            message = f"JSON arguments recommended for {name} to prevent unintended behavior related to OS signals"
            yield _warning("JSONArgsRecommended", message, instruction.place)
        case Arg() | Env():
            kind = "ARG" if isinstance(instruction, Arg) else "ENV"
            for name, _ in instruction.values:
                if _SECRET_NAMES.search(name) and not re.search(r"(?i)public", name):
                    message = f'Do not use ARG or ENV instructions for sensitive data ({kind} "{name}")'
                    yield _warning("SecretsUsedInArgOrEnv", message, instruction.place)
        case Label() | Copy():
            return
        case _:
            return
