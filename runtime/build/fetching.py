"""ADD of URLs and contexts behind URLs: downloads kept below ``<root>/images/cache/http`` and asked for again only when they changed.

Standard library only, proxies of the environment honoured. Runs in worker threads of the command's process.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runtime.errors import BuildError
from runtime.record import dataclass
from runtime.store import read_file, write_atomic

if TYPE_CHECKING:
    import urllib.response

_CHUNK = 1 << 20
_TIMEOUT = 60.0
_AGENT = "pycompose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """A file on disk (mode 0600, with the server's modification time) and the name it should have."""

    directory: str
    name: str
    digest: str

    @property
    def path(self) -> str:
        """The file."""
        return f"{self.directory}/{self.name}"


def is_url(word: str) -> bool:
    """Whether ADD downloads a source."""
    return word.startswith(("http://", "https://"))


def fetch(url: str, cache: str, checksum: str = "") -> Download:
    """Download a file, or take it as it was when the server says it is the same. Raises BuildError, also for a wrong ``checksum``."""
    home = f"{cache}/http/{hashlib.sha256(url.encode()).hexdigest()[:32]}"
    known = _known(home)
    if known is not None and checksum and known[0].digest == checksum:
        return known[0]
    found = _request(url, home, known)
    if checksum and found.digest != checksum:
        raise BuildError(
            f"digest mismatch: {url} has {found.digest}, expected {checksum}", hint="the file changed, or the checksum is another file's"
        )
    return found


def _known(home: str) -> tuple[Download, dict[str, str]] | None:
    content = read_file(f"{home}/about.json")
    if content is None:
        return None
    about = json.loads(content)
    found = Download(directory=f"{home}/{about['digest'][7:]}", name=about["name"], digest=about["digest"])
    return (found, about) if os.path.exists(found.path) else None


def _request(url: str, home: str, known: tuple[Download, dict[str, str]] | None) -> Download:
    import urllib.error
    import urllib.request
    from http.client import HTTPException

    request = urllib.request.Request(url, headers={"User-Agent": _AGENT})  # is_url
    if known is not None:
        for header, key in (("If-None-Match", "etag"), ("If-Modified-Since", "modified")):
            if known[1].get(key):
                request.add_header(header, known[1][key])
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as response:
            name = _name(url, dict(response.headers))
            return _keep(response, home, name)
    except urllib.error.HTTPError as error:
        if error.code == 304 and known is not None:
            return known[0]
        raise BuildError(
            f"{url}: invalid response status {error.code}", hint=None if error.code != 404 else "is the address right?"
        ) from None
    except (OSError, HTTPException) as error:
        raise BuildError(
            f"{url}: {getattr(error, 'reason', error)}", hint="is the network reachable from here? proxies come from the environment"
        ) from None


def _keep(response: urllib.response.addinfourl, home: str, name: str) -> Download:
    from email.utils import parsedate_to_datetime

    temporary = f"{home}/.{os.getpid()}-{os.urandom(4).hex()}"
    os.makedirs(home, mode=0o700, exist_ok=True)
    digest = hashlib.sha256()
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
        while piece := response.read(_CHUNK):
            digest.update(piece)
            file.write(piece)
    modified = response.headers.get("Last-Modified", "")
    seconds = int(parsedate_to_datetime(modified).timestamp()) if modified else 0
    os.utime(temporary, (seconds, seconds))
    found = Download(directory=f"{home}/{digest.hexdigest()}", name=name, digest=f"sha256:{digest.hexdigest()}")
    os.makedirs(found.directory, mode=0o700, exist_ok=True)
    os.rename(temporary, found.path)
    about = {"name": name, "digest": found.digest, "etag": response.headers.get("ETag", ""), "modified": modified, "url": response.geturl()}
    write_atomic(f"{home}/about.json", json.dumps(about))
    return found


def _name(url: str, headers: Mapping[str, str]) -> str:
    import urllib.parse

    match = re.search(r'filename="?([^";]+)"?', headers.get("Content-Disposition", ""))
    name = posixpath.basename(match[1]) if match else posixpath.basename(urllib.parse.unquote(urllib.parse.urlsplit(url).path).rstrip("/"))
    if not name or name in (".", "..") or "\0" in name:
        return "download"
    return name
