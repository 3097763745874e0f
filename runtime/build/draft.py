"""An image configuration in the making: what instructions change, and the JSON it becomes (OCI image-spec, config.md). Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import field, replace

from runtime.build.platform import Platform
from runtime.record import dataclass

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_EPOCH = "1970-01-01T00:00:00Z"
DEFAULT_SHELL = ("/bin/sh", "-c")

# In the order in which Docker writes them; a base image's other keys are dropped, as BuildKit drops them.
_KEYS = (
    "User", "ExposedPorts", "Env", "Entrypoint", "Cmd", "Volumes", "WorkingDir", "Labels", "StopSignal", "ArgsEscaped", "Healthcheck", "OnBuild", "Shell",
)  # fmt: skip
_TOP = ("architecture", "author", "os", "os.version", "os.features", "variant")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """``run`` is the "config" object, ``top`` the fields beside it, ``history`` one object per instruction.

    ``created`` (RFC 3339) is when the last layer was made: a build that finds everything in the cache gives the very same image.
    """

    run: Mapping[str, object] = field(default_factory=dict)
    top: Mapping[str, object] = field(default_factory=dict)
    history: tuple[Mapping[str, object], ...] = ()
    created: str = _EPOCH

    def with_(self, **values: object) -> Draft:
        """A draft with some keys of "config" set; None removes a key."""
        merged = {**self.run, **values}
        return replace(self, run={k: v for k, v in merged.items() if v is not None})

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings, empty when unset."""
        value = self.run.get(key)
        return tuple(str(item) for item in value) if isinstance(value, (list, tuple)) else ()

    def text(self, key: str) -> str:
        """A string, "" when unset."""
        return str(self.run.get(key) or "")

    def mapping(self, key: str) -> dict[str, object]:
        """An object, empty when unset."""
        value = self.run.get(key)
        return dict(value) if isinstance(value, Mapping) else {}

    @property
    def environment(self) -> dict[str, str]:
        """Env by name."""
        return {name: value for name, _, value in (item.partition("=") for item in self.texts("Env"))}

    @property
    def working_dir(self) -> str:
        """The directory that relative paths start from."""
        return self.text("WorkingDir") or "/"

    @property
    def shell(self) -> tuple[str, ...]:
        """What shell forms are run by."""
        return self.texts("Shell") or DEFAULT_SHELL

    def with_environment(self, changes: Mapping[str, str]) -> Draft:
        """Env with some variables set, each at its old place or at the end."""
        return self.with_(Env=[f"{k}={v}" for k, v in {**self.environment, **changes}.items()])

    def recorded(self, created_by: str, *, created: str = "", empty: bool = True) -> Draft:
        """With one more line of history; ``created`` is when the layer was made."""
        when = created or self.created
        entry: dict[str, object] = {"created": when, "created_by": created_by, "comment": "buildkit.dockerfile.v0"}
        if empty:
            entry["empty_layer"] = True
        return replace(self, history=(*self.history, entry), created=when)

    def document(self, diff_ids: Sequence[str]) -> bytes:
        """The configuration's JSON for an image of these layers."""
        top = {key: self.top[key] for key in _TOP if self.top.get(key)}
        run = {key: self.run[key] for key in _KEYS if key in self.run and self.run[key] not in ("", None, [])}
        whole = {
            **top,
            "config": run,
            "created": self.created,
            "history": list(self.history),
            "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        }
        return json.dumps(dict(sorted(whole.items())), separators=(",", ":"), ensure_ascii=False).encode()


def empty(platform: Platform) -> Draft:
    """FROM scratch."""
    top = {"architecture": platform.architecture, "os": platform.os, "variant": platform.variant}
    return Draft(run={"Env": [f"PATH={DEFAULT_PATH}"], "WorkingDir": "/"}, top=top)


def of_image(raw: bytes) -> Draft:
    """What a build from this image starts with. A PATH is always set. ONBUILD triggers are taken off: ``triggers`` reads them."""
    whole = json.loads(raw)
    run = {key: value for key, value in (whole.get("config") or {}).items() if key in _KEYS and key != "OnBuild" and value is not None}
    top = {key: whole.get(key) for key in _TOP}
    draft = Draft(run=run, top=top, history=tuple(whole.get("history") or ()), created=whole.get("created") or _EPOCH)
    return draft if "PATH" in draft.environment else draft.with_environment({"PATH": DEFAULT_PATH})
