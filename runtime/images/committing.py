"""`commit`: what a container wrote becomes one more layer, and how it was started the new image's configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime import codec
from runtime import store as files
from runtime.errors import NotFound
from runtime.images import importing
from runtime.spec import ContainerSpec, ImageConfig
from runtime.state import ImageState

if TYPE_CHECKING:
    from runtime.images.store import ImageStore


def commit_container(
    store: ImageStore, directory: str, reference: str, *, changes: Sequence[str] = (), author: str = "", message: str = ""
) -> ImageState:  # fmt: skip
    """An image of the container in ``directory`` (see ``Paths.container``). Raises NotFound when there is none."""
    spec_text, image_text = files.read_file(f"{directory}/spec.json"), files.read_file(f"{directory}/image.json")
    if spec_text is None or image_text is None:
        raise NotFound(f"there is no container in {directory}")
    spec, image = codec.loads(ContainerSpec, spec_text), codec.loads(ImageConfig, image_text)
    return importing.commit(
        store, f"{directory}/upper", image.id, reference, changes=changes, run=running(spec, image), author=author, message=message
    )  # fmt: skip


def running(spec: ContainerSpec, image: ImageConfig) -> dict[str, object]:
    """The fields of an image configuration that say how the container was started."""
    merged = dict(item.partition("=")[::2] for item in image.environment)
    for key, value in spec.environment.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = value
    found: dict[str, object] = {"Env": [f"{key}={value}" for key, value in merged.items()], "Labels": {**image.labels, **spec.labels}}
    if spec.entrypoint is not None:
        found["Entrypoint"] = list(spec.entrypoint)
    if spec.command is not None or spec.entrypoint is not None:
        found["Cmd"] = list(spec.command) if spec.command is not None else None
    for key, text in (("WorkingDir", spec.working_dir), ("User", spec.user), ("StopSignal", spec.stop_signal)):
        if text is not None:
            found[key] = text
    return found
