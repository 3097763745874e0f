"""The short forms of ``volumes`` (``[SOURCE:]TARGET[:OPTIONS]``) and ``devices``. Pure."""

from __future__ import annotations

_PROPAGATION = ("rprivate", "private", "rshared", "shared", "rslave", "slave")


class Mount:
    """What a short form says; ``bind`` holds the options of a bind mount."""

    __slots__ = ("bind", "nocopy", "read_only", "source", "target", "type")

    def __init__(self, kind: str, source: str, target: str) -> None:
        self.type = kind
        self.source = source
        self.target = target
        self.read_only = False
        self.bind: dict[str, str] = {}
        self.nocopy = False


def parse(text: str) -> Mount:
    """A mount out of its short form. Raises ValueError that names the fault."""
    if not text:
        raise ValueError("invalid empty volume spec")
    parts = _split(text) if len(text) > 2 else [text]
    if any(not part for part in parts):
        raise ValueError(f"invalid spec: {text}: empty section between colons")
    if len(parts) > 3:
        raise ValueError(f"invalid spec: {text}: too many colons")
    if len(parts) == 1:
        return Mount("volume", "", parts[0])
    source = parts[0]
    mount = Mount("bind" if is_path(source) else "volume", source, parts[1])
    for option in parts[2].split(",") if len(parts) == 3 else ():
        _apply(option, mount)
    return mount


def _split(text: str) -> list[str]:
    """Sections between colons; a drive letter (``C:\\``) and ``${…}`` keep theirs."""
    parts: list[str] = []
    depth = start = 0
    for index, char in enumerate(text):
        if char == "$" and text[index + 1 : index + 2] == "{":
            depth += 1
        elif char == "}" and depth:
            depth -= 1
        elif char == ":" and not depth and not (index - start == 1 and text[start].isalpha() and text[index + 1 : index + 2] in ("\\",)):
            parts.append(text[start:index])
            start = index + 1
    parts.append(text[start:])
    if len(parts) > 2 and len(parts[0]) == 1 and parts[0].isalpha() and parts[1][:1] == "/" and parts[2][:1] == "/":
        return [f"{parts[0]}:{parts[1]}", *parts[2:]]  # a drive of Windows: c:/data:/data
    return parts


def is_path(source: str) -> bool:
    """Whether a source is a path on the host rather than the name of a volume."""
    return source[:1] in (".", "/", "~") or source[:2] == "\\\\" or (source[1:3] in (":\\", ":/") and source[0].isalpha())


def _apply(option: str, mount: Mount) -> None:
    match option:
        case "ro":
            mount.read_only = True
        case "rw":
            mount.read_only = False
        case "nocopy":
            mount.nocopy = True
        case "z" | "Z":
            mount.bind["selinux"] = option
        case _ if option in _PROPAGATION:
            mount.bind["propagation"] = option
        case _:
            pass  # unknown words are ignored, as the reference does


def parse_device(text: str) -> tuple[str, str, str]:
    """(source, target, permissions) out of ``SOURCE[:TARGET[:PERMISSIONS]]``. Raises ValueError."""
    parts = text.split(":")
    match parts:
        case [source]:
            return source, source, "rwm"
        case [source, target]:
            return source, target, "rwm"
        case [source, target, permissions]:
            return source, target, permissions
        case _:
            raise ValueError(f"confusing device mapping, please use long syntax: {text}")
