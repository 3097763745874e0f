"""Build cases: small Dockerfiles with their contexts, several in one text file, and the base image that they stand on.

``%%% name`` begins a case, what follows up to the first section says what it is about. ``=== build`` holds what stands below ``build:`` in the
compose file (``context: .`` is there already), ``=== compose`` further keys of the file, ``=== setup`` shell commands that finish the context,
``=== arguments`` words for the command line. Every other ``=== path`` is a file of the context.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
BASE = "builds-base:latest"
BASE_CHANGES = ('CMD ["sh"]', "ENV PATH=/bin LANG=C", "LABEL from=base", "WORKDIR /srv")
_BUSYBOX = "/bin/busybox"
_RESERVED = ("build", "compose", "setup", "arguments")


@dataclass(frozen=True)
class Case:
    """One build: ``sections`` by title."""

    subject: str
    name: str
    about: str
    sections: dict[str, str]

    @property
    def title(self) -> str:
        """The case's name everywhere: directories, images, recorded answers."""
        return f"{self.subject}-{self.name}"

    @property
    def arguments(self) -> list[str]:
        """Words for the command line."""
        return self.sections.get("arguments", "").split()

    def lay_out(self, directory: Path) -> None:
        """Write the context and a compose file with one service, ``main``."""
        directory.mkdir(parents=True, exist_ok=True)
        for title, text in self.sections.items():
            if title not in _RESERVED:
                path = directory / title
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text)
        if "setup" in self.sections:
            subprocess.run(["sh", "-euc", f"umask 022\n{self.sections['setup']}"], cwd=directory, check=True)
        (directory / "compose.yaml").write_text(self.compose())

    def compose(self) -> str:
        """The compose file, the same wherever it stands: it is part of the context."""
        return f"services:\n{self.service('main', '.')}{self.sections.get('compose', '')}"

    def service(self, name: str, context: str) -> str:
        """The service that builds this case."""
        build = self.sections.get("build", "")
        given = "" if build.startswith("context:") or "\ncontext:" in build else f"      context: {context}\n"
        return f"  {name}:\n    build:\n{given}" + "".join(f"      {line}\n" for line in build.splitlines())


@dataclass(frozen=True)
class WellKnown:
    """A directory of ``wellknown``: a whole project's Dockerfile, which installs from the further context ``mirror``, ``../../mirror``."""

    directory: Path

    @property
    def title(self) -> str:
        """The directory's name."""
        return self.directory.name

    @property
    def arguments(self) -> list[str]:
        """Nothing for the command line."""
        return []

    def lay_out(self, directory: Path) -> None:
        """Copy the directory and write the compose file."""
        shutil.copytree(self.directory, directory, ignore=shutil.ignore_patterns("build.yaml", "compose-more.yaml"))
        build, more = (self._text(name) for name in ("build.yaml", "compose-more.yaml"))
        head = "services:\n  main:\n    build:\n      context: .\n      additional_contexts: {mirror: ../../mirror}\n"
        (directory / "compose.yaml").write_text(head + "".join(f"      {line}\n" for line in build.splitlines()) + more)

    def _text(self, name: str) -> str:
        path = self.directory / name
        return path.read_text() if path.exists() else ""


def well_known() -> list[WellKnown]:
    """Every project of ``wellknown``."""
    return [WellKnown(path) for path in sorted((HERE / "wellknown").iterdir()) if (path / "Dockerfile").exists()]


def read(path: Path) -> list[Case]:
    """The cases of one file."""
    found = []
    for chunk in f"\n{path.read_text()}".split("\n%%% ")[1:]:
        name, _, rest = chunk.partition("\n")
        about, *sections = f"\n{rest}".split("\n=== ")
        texts = {}
        for section in sections:
            title, _, body = section.partition("\n")
            texts[title] = f"{body.rstrip(chr(10))}\n" if body.strip() else ""
        found.append(Case(path.stem, name.strip(), " ".join(about.split()), texts))
    return found


def all_cases() -> list[Case]:
    """Every case, by subject."""
    return [case for path in sorted((HERE / "cases").glob("*.txt")) for case in read(path)]


def base_tar() -> bytes:
    """The root file system of the base image: busybox, some users, links that lead about. The same bytes wherever the busybox is the same."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, mode, owner in (
            ("bin", 0o755, 0), ("etc", 0o755, 0), ("tmp", 0o1777, 0), ("root", 0o700, 0), ("var", 0o755, 0), ("home", 0o755, 0),
            ("home/bob", 0o2750, 1000), ("real", 0o755, 0), ("data", 0o755, 0), ("data/old", 0o755, 0),
        ):  # fmt: skip
            _add(tar, tarfile.TarInfo(name), type=tarfile.DIRTYPE, mode=mode, uid=owner, gid=owner)
        tar.add(_BUSYBOX, "bin/busybox", filter=_anonymous)
        for applet in subprocess.run([_BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                _add(tar, tarfile.TarInfo(f"bin/{applet}"), type=tarfile.SYMTYPE, linkname="busybox", mode=0o777)
        for name, target in (("link", "real"), ("absolute", "/real"), ("up", "../../../../real"), ("dangling", "/nowhere")):
            _add(tar, tarfile.TarInfo(name), type=tarfile.SYMTYPE, linkname=target, mode=0o777)
        for name, text in _FILES.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            _add(tar, entry, data=text.encode(), mode=0o644)
        _add(tar, tarfile.TarInfo("data/hard"), type=tarfile.LNKTYPE, linkname="data/file", mode=0o644)
    return content.getvalue()


_FILES = {
    "etc/passwd": "root:x:0:0::/root:/bin/sh\nbob:x:1000:1001::/home/bob:/bin/sh\n",
    "etc/group": "root:x:0:\nbob:x:1001:\nstaff:x:50:bob\n",
    "data/file": "file\n",
    "data/other": "other\n",
    "data/old/a": "a\n",
    "data/old/b": "b\n",
}


def _add(tar: tarfile.TarFile, entry: tarfile.TarInfo, *, data: bytes = b"", **values: object) -> None:
    for key, value in values.items():
        setattr(entry, key, value)
    entry.mtime = 1_000_000_000
    tar.addfile(entry, io.BytesIO(data))


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime, entry.mode = 1_000_000_000, 0o755
    return entry


def ended(code: int, err: str) -> dict[str, object]:
    """What is compared of a build that fails: its exit code and the lines of the Dockerfile that it points at (none in a reference: any in ours)."""
    marked = [line.partition(">>>")[2].strip() for line in err.splitlines() if ">>>" in line]
    return {"exit_code": code, "lines": [line for line in marked if line]}


__all__ = ["BASE", "BASE_CHANGES", "Case", "WellKnown", "all_cases", "base_tar", "ended", "read", "well_known"]
