#!/usr/bin/env python3
"""Makes a directory of packages that the projects in ``wellknown/`` install from, so that they build without a network, the same on both sides.

usage: python -m tests.builds.mirror DIRECTORY STATUS      (STATUS: the /var/lib/dpkg/status of the base image; on a machine with its packages)

It uses the ordinary clients: ``apt-get`` for what Debian has, ``pip`` for wheels, ``npm`` for its cache. Needs ``dpkg-dev`` and ``npm``.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.builds.cases import HERE

DEBIAN = (
    "python3", "python3-venv", "python3-pip", "gcc", "libc6-dev", "make", "nginx-light", "redis-server", "postgresql", "mariadb-server",
    "php-cli", "php-fpm", "php-mysql", "libapache2-mod-php", "ruby", "perl", "cron", "supervisor", "nodejs", "openjdk-17-jre-headless",
    "gosu", "tini", "curl", "ca-certificates", "busybox-static", "lighttpd", "memcached",
)  # fmt: skip
WHEELS = ["django", "flask", "gunicorn", "fastapi", "uvicorn"]
NPM = "npm@10.9.2"


def debian(home: Path, status: str) -> None:
    """Packages that the base image has not, as a repository of one directory."""
    (home / "debs").mkdir(parents=True)
    with tempfile.TemporaryDirectory() as archives:
        (Path(archives) / "partial").mkdir()
        options = [f"Dir::State::status={status}", f"Dir::Cache::archives={archives}", "Debug::NoLocking=1", "APT::Install-Recommends=0"]
        flags = [word for option in options for word in ("-o", option)]
        subprocess.run(["apt-get", "-qq", "-y", *flags, "--download-only", "install", *DEBIAN], check=True)
        for package in Path(archives).glob("*.deb"):
            shutil.move(package, home / "debs")
    with (home / "debs/Packages").open("w") as index:
        subprocess.run(["dpkg-scanpackages", "-m", "."], cwd=home / "debs", stdout=index, stderr=subprocess.DEVNULL, check=True)
    (home / "sources.list").write_text("deb [trusted=yes] file:/mirror/debs ./\n")


def wheels(home: Path) -> None:
    """Wheels for Debian's Python."""
    subprocess.run(
        [sys.executable, "-m", "pip", "download", "-q", "-d", home / "wheels", "--python-version", "3.11", "--only-binary=:all:", *WHEELS],
        check=True,
    )


def npm(home: Path) -> None:
    """npm itself and a filled cache for the lock file."""
    with tempfile.TemporaryDirectory() as work:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / "wellknown/node-express" / name, work)
        subprocess.run(["npm", "ci", "--cache", home / "npm", "--no-audit", "--no-fund"], cwd=work, check=True)
    subprocess.run(["npm", "pack", "--silent", NPM], cwd=home, check=True)


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    home = Path(sys.argv[1]).absolute()
    debian(home, sys.argv[2])
    wheels(home)
    npm(home)


if __name__ == "__main__":
    main()
