"""Debian and Ubuntu base images by mmdebstrap (or debootstrap), shaped as the official ones are: small, quiet, without state of their birth."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime.errors import ImageError, Unsupported
from runtime.images import importing
from runtime.images.bootstrap import rootfs
from runtime.images.bootstrap.suites import Suite, suite_of
from runtime.images.reference import Reference
from runtime.state import ImageState

if TYPE_CHECKING:
    from runtime.images.bootstrap import Report
    from runtime.images.store import ImageStore

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MERGED = ("bookworm", "trixie", "forky", "sid", "unstable", "testing", "stable")
_MERGED_HOOKS = "/usr/share/mmdebstrap/hooks/merged-usr"
_INHERITED = ("Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::http::Proxy", "Acquire::https::Proxy", "Acquire::Retries")


def bootstrap(store: ImageStore, reference: Reference, mirror: str, tell: Report) -> ImageState:
    """See ``runtime.images.bootstrap.bootstrap``."""
    if os.geteuid() != 0:
        raise Unsupported("bootstrapping a distribution needs root", hint="run it with sudo, or `image import` a root file system")
    suite = suite_of(reference, mirror)
    with store.lease(), store.content.staging() as home:
        root = f"{home}/root"
        _debootstrap(suite, root, tell)
        tell(f"shaping {reference.familiar}")
        epoch = rootfs.shape(root, suite, _apt_settings(for_image=True))
        layer = store.add_layer(root, move=True)
        document = importing.new_document(
            [layer], {"Env": [_PATH], "Cmd": ["bash"]}, created=importing.rfc3339(epoch * 1_000_000_000), comment=f"pycompose bootstrap {reference.familiar}"
        )  # fmt: skip
        return store.add_image(importing.encode(document), [layer], [reference.canonical])


def _debootstrap(suite: Suite, root: str, tell: Report) -> None:
    if shutil.which("mmdebstrap"):
        _run(_mmdebstrap(suite, root), suite, tell)
    elif shutil.which("debootstrap"):
        _run(_plain_debootstrap(suite, root), suite, tell)
    else:
        raise Unsupported(
            "neither mmdebstrap nor debootstrap is installed", hint="apt-get install mmdebstrap, or `image import` a root file system"
        )


def _mmdebstrap(suite: Suite, root: str) -> list[str]:
    command = ["mmdebstrap", "--variant=minbase", "--mode=root", "--format=directory", "--skip=check/empty"]
    command += [f"--aptopt={key} {_quoted(value)}" for key, value in _apt_settings(for_image=False)]
    if suite.distribution == "debian" and suite.name in _MERGED and os.path.isdir(_MERGED_HOOKS):
        command.append(f"--hook-directory={_MERGED_HOOKS}")  # else usrmerge is taken, which drags in all of perl (40 MB)
    return [*command, suite.name, root, *(line for stanza in suite.sources for line in stanza.lines())]


def _plain_debootstrap(suite: Suite, root: str) -> list[str]:
    mirror = [suite.sources[0].uri] if suite.sources else []
    components = ",".join(suite.sources[0].components) if suite.sources else "main"
    return ["debootstrap", "--variant=minbase", f"--components={components}", suite.name, root, *mirror]


def _quoted(value: str) -> str:
    return '"' + value.replace('"', "") + '"'


def _apt_settings(*, for_image: bool) -> Sequence[tuple[str, str]]:
    """The host's settings that its mirror needs; an image keeps those about the archive, not the way to it."""
    if not shutil.which("apt-config"):
        return ()
    done = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False, timeout=30)
    pairs = [(key, value.strip('"; ')) for key, _, value in (line.partition(" ") for line in done.stdout.splitlines())]
    wanted = _INHERITED[:2] if for_image else _INHERITED
    return tuple((key, value) for key, value in pairs if key in wanted and value)


def _apart() -> Sequence[str]:
    """A mount namespace for what follows: what a killed bootstrap had mounted in the new root goes with its last process."""
    return ("unshare", "--mount", "--propagation", "private") if shutil.which("unshare") and os.geteuid() == 0 else ()


def _run(command: Sequence[str], suite: Suite, tell: Report) -> None:
    environment = {
        **os.environ,
        "LC_ALL": "C",
        "DEBIAN_FRONTEND": "noninteractive",
        "SOURCE_DATE_EPOCH": os.environ.get("SOURCE_DATE_EPOCH", "0"),
    }
    environment["PATH"] = environment.get("PATH", "") + ":/usr/sbin:/sbin"
    tail: deque[str] = deque(maxlen=12)
    with subprocess.Popen(
        [*_apart(), *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as child:
        try:
            for line in child.stdout or ():
                tail.append(line.rstrip())
                tell(line.rstrip().removeprefix("I: "))
        except BaseException:
            child.terminate()
            raise
    if child.returncode:
        told = "\n  ".join(tail)
        raise ImageError(
            f"{command[0]} could not bootstrap {suite.distribution} {suite.name} (exit code {child.returncode}):\n  {told}",
            hint=_keys_missing(suite)
            if "NO_PUBKEY" in told
            else "is the package mirror reachable (apt-get update), and the suite's name right? --mirror names another one",
        )


def _keys_missing(suite: Suite) -> str:
    return f"the keys of {suite.distribution}'s archive are not here: apt-get install {suite.distribution}-archive-keyring (or {suite.distribution}-keyring)"
