"""Which stage needs which: targets, references between stages, what is never built. Pure."""

from __future__ import annotations

import difflib

from runtime.build import flags
from runtime.build.instructions import Copy, Dockerfile, Instruction, Run, Stage
from runtime.errors import BuildError


def target_stage(dockerfile: Dockerfile, target: str) -> Stage:
    """The stage to build: by name, the last one for "". Raises BuildError with the nearest name."""
    if not target:
        return dockerfile.stages[-1]
    for stage in reversed(dockerfile.stages):
        if stage.name == target.lower():
            return stage
    names = [stage.name for stage in dockerfile.stages if stage.name]
    near = difflib.get_close_matches(target.lower(), names, 1)
    hint = f"did you mean {near[0]}?" if near else f"stages are: {', '.join(names) or 'none has a name'}"
    raise BuildError(f'target stage "{target}" could not be found', hint=hint)


def base_stage(dockerfile: Dockerfile, image: str, before: int) -> Stage | None:
    """The earlier stage that FROM means, or None for an image."""
    for stage in reversed(dockerfile.stages[:before]):
        if stage.name and stage.name == image.lower():
            return stage
    return None


def source_stage(dockerfile: Dockerfile, origin: str, before: int) -> Stage | None:
    """The earlier stage that ``--from`` means, by name or number, or None for a context or image. Raises BuildError for itself or a later one."""
    found = base_stage(dockerfile, origin, before)
    if found is not None:
        return found
    if origin.isdigit():
        if int(origin) < before:
            return dockerfile.stages[int(origin)]
        raise BuildError(f"invalid from value {origin}: there are only {before} stages before this one")
    if any(stage.name == origin.lower() for stage in dockerfile.stages[before:]):
        raise BuildError(f"stage {origin!r} is not built yet here", hint="a stage can use earlier stages only: move it up")
    return None


def origins(instruction: Instruction) -> tuple[str, ...]:
    """The ``from`` values of an instruction."""
    if isinstance(instruction, Copy):
        return (instruction.origin,) if instruction.origin else ()
    if isinstance(instruction, Run):
        return tuple(value for text in instruction.mounts for key, value, _ in flags.mount_fields(text) if key == "from" and value)
    return ()


def dependencies(dockerfile: Dockerfile, stage: Stage) -> tuple[int, ...]:
    """Numbers of the stages whose files ``stage`` reads, so that they can be built beside it. Mistakes are left for their instruction to tell."""
    found: dict[int, None] = {}
    for instruction in stage.instructions:
        for origin in origins(instruction):
            try:
                source = source_stage(dockerfile, origin, stage.number)
            except BuildError:
                continue
            if source is not None:
                found[source.number] = None
    return tuple(found)
