"""Shapes a fresh Debian tree into a base image: slim, configured for builds, and equal to the byte for equal packages."""

from __future__ import annotations

import glob
import os
import shutil
import stat
from collections.abc import Iterator, Sequence

from runtime.images.bootstrap.suites import Suite

_EXCLUDED = ("doc", "groff", "info", "linda", "lintian", "locale", "man")
_CLEAN = '{ "rm -f /var/cache/apt/archives/*.deb /var/cache/apt/archives/partial/*.deb /var/cache/apt/*.bin || true"; };\n'

# what base images of Debian carry so that builds stay small and start no services (the names are those of the official image)
_FILES = {
    "etc/apt/apt.conf.d/docker-autoremove-suggests": 'Apt::AutoRemove::SuggestsImportant "false";\n',
    "etc/apt/apt.conf.d/docker-clean": f'DPkg::Post-Invoke {_CLEAN}APT::Update::Post-Invoke {_CLEAN}Dir::Cache::pkgcache "";\nDir::Cache::srcpkgcache "";\n',
    "etc/apt/apt.conf.d/docker-gzip-indexes": 'Acquire::GzipIndexes "true";\n',
    "etc/apt/apt.conf.d/docker-no-languages": 'Acquire::Languages "none";\n',
    "etc/dpkg/dpkg.cfg.d/docker-apt-speedup": "force-unsafe-io\n",
}
_POLICY = "#!/bin/sh\n# no service starts while packages are installed: there is no init in an image\nexit 101\n"

_STATE = (
    "var/lib/apt/lists/*", "var/cache/apt/*.bin", "var/cache/apt/archives/*", "var/cache/ldconfig/aux-cache", "var/cache/debconf/*-old",
    "var/lib/dpkg/*-old", "var/log/apt/*", "var/log/dpkg.log", "var/log/bootstrap.log", "var/log/alternatives.log", "var/lib/dbus/machine-id",
    "var/lib/systemd/random-seed", "var/lib/systemd/catalog/database", "etc/hostname", "etc/resolv.conf", "etc/.pwd.lock", "etc/*-",
    "run/*", "tmp/*", "var/tmp/*",
    "etc/apt/apt.conf.d/99mmdebstrap", "etc/dpkg/dpkg.cfg.d/99mmdebstrap", "etc/apt/sources.list", "etc/apt/sources.list.d/*",
    "usr/lib/python3*/__pycache__", "etc/ssl/certs/java/cacerts",
)  # fmt: skip
_EMPTIED = ("var/log/btmp", "var/log/wtmp", "var/log/lastlog", "var/log/faillog", "etc/machine-id")


def shape(root: str, suite: Suite, settings: Sequence[tuple[str, str]]) -> int:
    """Make the tree at ``root`` a base image's; returns the epoch (seconds) of the newest packaged file, which nothing in it is younger than."""
    epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or 0) or _newest_packaged(root)
    for pattern in _STATE:
        for path in glob.glob(f"{root}/{pattern}", include_hidden=True):
            if _inside(root, path):
                _remove(path)
    for path in _EMPTIED:
        if os.path.isfile(f"{root}/{path}") and not os.path.islink(f"{root}/{path}") and _inside(root, f"{root}/{path}"):
            os.truncate(f"{root}/{path}", 0)
    if suite.slim:
        _slim(root)
    _configure(root, suite, settings)
    _settle_days(root, epoch)
    os.makedirs(f"{root}/var/lib/apt/lists", exist_ok=True)
    os.makedirs(f"{root}/run/lock", exist_ok=True)  # /var/lock is a link to it, and programs count on it
    os.chmod(f"{root}/run/lock", 0o1777)
    _clamp_times(root, epoch)
    return epoch


def _inside(root: str, path: str) -> bool:
    """Whether a path reaches its place without a symbolic link that leads back to this host (var/run is one)."""
    return os.path.realpath(os.path.dirname(path)).startswith(os.path.realpath(root))


def _remove(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _slim(root: str) -> None:
    for name in _EXCLUDED:
        for path in glob.glob(f"{root}/usr/share/{name}/*", include_hidden=True):
            if name == "doc" and os.path.isdir(path) and not os.path.islink(path) and os.path.lexists(f"{path}/copyright"):
                for inner in os.listdir(path):
                    if inner != "copyright":
                        _remove(f"{path}/{inner}")
            else:
                _remove(path)
    lines = [
        f"path-exclude /usr/share/{name}/*\n" + ("path-include /usr/share/doc/*/copyright\n" if name == "doc" else "") for name in _EXCLUDED
    ]
    _write(f"{root}/etc/dpkg/dpkg.cfg.d/docker", "".join(lines))


def _configure(root: str, suite: Suite, settings: Sequence[tuple[str, str]]) -> None:
    for path, text in _FILES.items():
        _write(f"{root}/{path}", text)
    _write(f"{root}/usr/sbin/policy-rc.d", _POLICY, 0o755)
    if settings:
        _write(f"{root}/etc/apt/apt.conf.d/80mirror", "".join(f'{key} "{value}";\n' for key, value in settings))
    if suite.sources:
        text = "\n".join(stanza.deb822() for stanza in suite.sources)
        _write(f"{root}/etc/apt/sources.list.d/{suite.distribution}.sources", text)


def _write(path: str, text: str, mode: int = 0o644) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def _settle_days(root: str, epoch: int) -> None:
    """shadow(5) notes the day of a password's last change: the day of the bootstrap, of which nothing may remain."""
    path = f"{root}/etc/shadow"
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        rows = [line.rstrip("\n").split(":") for line in file]
    for row in rows:
        if len(row) > 2 and row[2]:
            row[2] = str(epoch // 86400)
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(":".join(row) + "\n" for row in rows)


def _newest_packaged(root: str) -> int:
    """The newest time of a regular file that a package brought: the same wherever and whenever the same packages are unpacked."""
    newest = 0
    for listing in glob.glob(f"{root}/var/lib/dpkg/info/*.md5sums"):
        with open(listing, encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                try:
                    found = os.lstat(f"{root}/{line.rstrip()[34:]}")
                except FileNotFoundError:
                    continue
                newest = max(newest, int(found.st_mtime))
    return newest


def _clamp_times(root: str, epoch: int) -> None:
    for path in _bottom_up(root):
        found = os.lstat(path)
        if found.st_mtime > epoch or stat.S_ISDIR(found.st_mode):
            when = min(int(found.st_mtime), epoch) if not stat.S_ISDIR(found.st_mode) else epoch
            os.utime(path, (when, when), follow_symlinks=False)


def _bottom_up(root: str) -> Iterator[str]:
    for directory, _, files in os.walk(root, topdown=False):
        with os.scandir(directory) as found:
            yield from (entry.path for entry in found if not entry.is_dir(follow_symlinks=False))
        del files
        yield directory
