"""``RUN --mount``: what a step sees beside its root. Prepared in worker threads of the command's process; ``close`` lets go of locks and files."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import field
from typing import assert_never

from runtime.build import agent
from runtime.build.copying import Copier, CopyOptions
from runtime.build.inputs import Input
from runtime.build.instructions import RunMount
from runtime.build.request import BuildRequest, BuildSecret
from runtime.build.select import Selected
from runtime.build.view import Located
from runtime.build.writer import LayerWriter
from runtime.bundle_mounts import BindEntry, LayersEntry, MountEntry, TmpfsEntry
from runtime.errors import BuildError
from runtime.record import dataclass
from runtime.store import is_locked, locked


@dataclass(slots=True, kw_only=True)
class Prepared:
    """Mounts ready for a bundle, variables that go with them, and what has to be let go of afterwards."""

    entries: list[MountEntry] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    held: ExitStack = field(default_factory=ExitStack)


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPlaces:
    """Directories a step may use: ``staging`` (the store's file system), ``volatile`` (memory, for secrets), ``caches`` (kept)."""

    staging: str
    volatile: str
    caches: str


def prepare(
    mounts: tuple[RunMount, ...], inputs: Mapping[int, Input], request: BuildRequest, places: MountPlaces, working_dir: str
) -> Prepared:  # fmt: skip
    """Everything for a step's mounts; ``inputs`` are the trees of bind and cache mounts by their index. Raises BuildError."""
    prepared = Prepared()
    try:
        for index, mount in enumerate(mounts):
            named = mount.target or mount.kind in ("bind", "cache", "tmpfs")
            target = os.path.normpath(os.path.join(working_dir, mount.target)) if named else ""
            _one(index, mount, target, inputs.get(index), request, places, prepared)
    except BaseException:
        prepared.held.close()
        raise
    return prepared


def _one(
    index: int, mount: RunMount, target: str, source: Input | None, request: BuildRequest, places: MountPlaces, prepared: Prepared
) -> None:  # fmt: skip
    match mount.kind:
        case "bind":
            if source is None:
                raise BuildError(f"mount on {target}: nothing to bind")
            prepared.entries.append(_bind(index, mount, target, source, places))
        case "cache":
            prepared.entries.append(_cache(mount, target, source, places, prepared.held))
        case "tmpfs":
            options = ("nosuid", *((f"size={mount.size}",) if mount.size else ()))
            prepared.entries.append(TmpfsEntry(target=target, options=options))
        case "secret":
            _secret(index, mount, target, request, places, prepared)
        case "ssh":
            _ssh(index, mount, target, request, places, prepared)
        case _:
            assert_never(mount.kind)


def located(mount: RunMount, source: Input) -> Located:
    """The file or directory of a bind mount's ``source``. Raises BuildError."""
    found = source.view.locate(mount.source)
    if found.node is None:
        raise BuildError(f"mount from {source.title}: {mount.source!r} is not there")
    return found


def _bind(index: int, mount: RunMount, target: str, source: Input, places: MountPlaces) -> MountEntry:
    found = located(mount, source)
    if mount.read_only is False or not source.plain:
        return _copied(index, mount, target, source, found, places)
    if len(source.layers) == 1:
        return BindEntry(source=source.layers[0], subpath=found.name, target=target, read_only=True)
    return LayersEntry(lowers=source.layers, subpath=found.name, target=target)


def _copied(index: int, mount: RunMount, target: str, source: Input, found: Located, places: MountPlaces) -> MountEntry:
    """A copy for the step alone: writes to it are forgotten, and an ignore file holds."""
    if found.node is None:
        raise BuildError(f"mount from {source.title}: {mount.source!r} is not there")
    home = f"{places.staging}/bind{index}"
    os.makedirs(home)
    Copier(source.view, LayerWriter(home, ()), CopyOptions()).copy(
        Selected("file", found.node), "/tree" if found.node.is_directory else "/file"
    )
    place = f"{home}/tree" if found.node.is_directory else f"{home}/file"
    return BindEntry(source=place, target=target, read_only=mount.read_only is not False)


def _cache(mount: RunMount, target: str, source: Input | None, places: MountPlaces, held: ExitStack) -> MountEntry:
    name = hashlib.sha256((mount.id or target).encode()).hexdigest()[:32]
    home = _cache_home(f"{places.caches}/{name}", mount.sharing, held)
    if not os.path.isdir(home):
        _fill_cache(home, mount, source)
    return BindEntry(source=home, target=target, read_only=mount.read_only is True)


def _cache_home(base: str, sharing: str, held: ExitStack) -> str:
    if sharing == "locked":
        held.enter_context(locked(f"{base}.lock"))
        return base
    if sharing == "shared":
        return base
    number = 0
    while is_locked(f"{base}-{number}.lock"):
        number += 1
    held.enter_context(locked(f"{base}-{number}.lock"))
    return f"{base}-{number}"


def _fill_cache(home: str, mount: RunMount, source: Input | None) -> None:
    fresh = f"{home}.{os.getpid()}-{os.urandom(4).hex()}"
    os.makedirs(fresh, mode=0o700)
    if source is not None:
        found = located(mount, source)
        if found.node is not None and found.node.is_directory:
            Copier(source.view, LayerWriter(fresh, ()), CopyOptions()).copy(Selected("", found.node), "/")
    os.chown(fresh, mount.uid or 0, mount.gid or 0)
    os.chmod(fresh, 0o755 if mount.mode is None else mount.mode)
    try:
        os.rename(fresh, home)
    except OSError:  # somebody else was first
        shutil.rmtree(fresh, ignore_errors=True)


def _secret(index: int, mount: RunMount, target: str, request: BuildRequest, places: MountPlaces, prepared: Prepared) -> None:
    name = mount.id or os.path.basename(mount.source or target)
    content = _secret_content(next((s for s in request.secrets if s.id == name), None))
    if content is None:
        if mount.required:
            raise BuildError(f"secret {name}: not found", hint=f"give it with build.secrets, or --secret id={name},src=…")
        return
    if mount.env:
        prepared.environment[mount.env] = content.decode("utf-8", "surrogateescape")
        if not target:
            return
    path = f"{places.volatile}/secret{index}"
    os.makedirs(places.volatile, mode=0o700, exist_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
    os.chown(path, mount.uid or 0, mount.gid or 0)
    os.chmod(path, 0o400 if mount.mode is None else mount.mode)
    prepared.entries.append(BindEntry(source=path, target=target or f"/run/secrets/{name}", read_only=True))


def _secret_content(secret: BuildSecret | None) -> bytes | None:
    if secret is None:
        return None
    if secret.content is not None:
        return secret.content
    try:
        with open(secret.file, "rb") as file:
            return file.read(512 << 10)
    except OSError as error:
        raise BuildError(f"secret {secret.id}: {secret.file}: {error.strerror}") from None


def _ssh(index: int, mount: RunMount, target: str, request: BuildRequest, places: MountPlaces, prepared: Prepared) -> None:
    name = mount.id or "default"
    source = request.ssh.get(name)
    if source is None:
        if mount.required:
            raise BuildError(f"ssh {name}: no such agent", hint=f"give it with build.ssh, or --ssh {name}")
        return
    socket = source or os.environ.get("SSH_AUTH_SOCK", "")
    if not socket:
        raise BuildError(f"ssh {name}: no agent is running", hint="eval $(ssh-agent); ssh-add; then build again")
    os.makedirs(places.volatile, mode=0o700, exist_ok=True)
    path = f"{places.volatile}/ssh{index}"
    mode = 0o600 if mount.mode is None else mount.mode
    agent.serve(socket, path, mode=mode, uid=mount.uid or 0, gid=mount.gid or 0, held=prepared.held)
    place = target or f"/run/buildkit/ssh_agent.{index}"
    prepared.entries.append(BindEntry(source=path, target=place))
    prepared.environment["SSH_AUTH_SOCK"] = place
