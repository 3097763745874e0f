"""Platforms: this machine's, the arguments that Dockerfiles get about it, and the refusal of others. Pure but for uname(2)."""

from __future__ import annotations

import os

from runtime.errors import Unsupported
from runtime.record import dataclass

# uname -m to GOARCH and variant (containerd, platforms/database.go)
_MACHINES = {
    "x86_64": ("amd64", ""), "amd64": ("amd64", ""), "i386": ("386", ""), "i686": ("386", ""), "aarch64": ("arm64", ""), "arm64": ("arm64", ""),
    "armv7l": ("arm", "v7"), "armv6l": ("arm", "v6"), "armhf": ("arm", "v7"), "ppc64le": ("ppc64le", ""), "s390x": ("s390x", ""),
    "riscv64": ("riscv64", ""), "loongarch64": ("loong64", ""),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Platform:
    """Operating system, architecture and variant as image configurations spell them."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(p for p in (self.os, self.architecture, self.variant) if p)


def native() -> Platform:
    """This machine."""
    architecture, variant = _MACHINES.get(os.uname().machine, (os.uname().machine, ""))
    return Platform("linux", architecture, variant)


def parse(text: str) -> Platform:
    """``os/architecture[/variant]``; an architecture alone means linux. arm64's variant v8 is its default."""
    parts = text.lower().split("/")
    if len(parts) == 1:
        parts = [native().os, parts[0]] if parts[0] not in ("linux", "local") else [native().os, native().architecture]
    architecture, variant = _MACHINES.get(parts[1], (parts[1], ""))
    variant = parts[2] if len(parts) > 2 else variant
    return Platform(parts[0], architecture, "" if (architecture, variant) in (("arm64", "v8"), ("amd64", "v1")) else variant)


def refuse_foreign(text: str) -> None:
    """Raise Unsupported for a platform that this machine cannot run."""
    wanted, own = parse(text), native()
    if (wanted.os, wanted.architecture) != (own.os, own.architecture):
        raise Unsupported(
            f"cannot build for platform {text}: this machine is {own}",
            hint=f"remove the platform or build on such a machine; FROM --platform=$BUILDPLATFORM is always {own} here",
        )


def arguments(target: str) -> dict[str, str]:
    """The predefined platform arguments (Dockerfile reference, "Automatic platform ARGs in the global scope")."""
    own = native()
    found = {"TARGETSTAGE": target or "default"}
    for prefix in ("BUILD", "TARGET"):
        found |= {
            f"{prefix}PLATFORM": str(own),
            f"{prefix}OS": own.os,
            f"{prefix}OSVERSION": "",
            f"{prefix}ARCH": own.architecture,
            f"{prefix}VARIANT": own.variant,
        }
    return found
