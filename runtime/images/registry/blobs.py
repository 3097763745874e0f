"""Blobs: downloads that go on where a connection broke (Range), and uploads that do the same (PATCH with Content-Range)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from urllib.parse import urlencode, urljoin

import urllib3
from urllib3.exceptions import HTTPError

from runtime.errors import ImageError, RegistryError
from runtime.images.partial import Partial
from runtime.images.registry.session import Session
from runtime.images.registry.transport import finish

_CHUNK = 1 << 20
Moved = Callable[[int], None]


def download(session: Session, digest: str, size: int, moved: Moved, partial: Partial | None = None) -> Iterator[bytes]:
    """The blob in chunks. ``moved`` gets the offset reached. Raises ImageError at the end unless length and digest are right.

    ``partial`` gives what an earlier process had of it and keeps what comes, for as long as the blob is not whole.
    """
    hashing = hashlib.sha256()
    offset = 0
    for chunk in partial.read() if partial else ():
        hashing.update(chunk)
        offset += len(chunk)
        moved(offset)
        yield chunk
    what = f"blob {digest[:19]} of {session.repository}"
    for chunk in _rest(session, digest, offset, size, what):
        hashing.update(chunk)
        offset += len(chunk)
        if partial:
            partial.append(chunk)
        moved(offset)
        yield chunk
    if partial:
        partial.discard()
    if f"sha256:{hashing.hexdigest()}" != digest:
        raise ImageError(
            f"{what} does not match its digest: got sha256:{hashing.hexdigest()}",
            hint="the content was damaged or exchanged on its way; nothing of it was kept",
        )


def _rest(session: Session, digest: str, offset: int, size: int, what: str) -> Iterator[bytes]:
    """The bytes from ``offset`` on, however often the connection breaks. Raises RegistryError when it breaks without progress."""
    tried = 0
    while offset < size:
        before = offset
        try:
            for chunk in _from(session, digest, offset, size, what):
                offset += len(chunk)
                if offset > size:
                    raise ImageError(
                        f"{what} is longer than the {size} bytes of its manifest", hint="the registry serves something else; refused"
                    )
                yield chunk
        except HTTPError as error:
            message = f"{session.endpoint.host} broke off: {error}"
        else:
            message = f"{session.endpoint.host} sent {offset} of {size} bytes"
        if offset < size:
            tried = 1 if offset > before else tried + 1
            session.give_up_or_wait(tried, message, what)


def _from(session: Session, digest: str, offset: int, size: int, what: str) -> Iterator[bytes]:
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-{size - 1}"
    response = session.request("GET", session.url(f"blobs/{digest}"), headers=headers, expected=(200, 206), what=what)
    try:
        skip = offset if response.status == 200 else offset - _content_start(response, offset)
        if skip < 0:
            raise ImageError(f"{session.endpoint.host} answers a range request of {what} with another range")
        while chunk := response.read(_CHUNK):
            if skip >= len(chunk):
                skip -= len(chunk)
                continue
            yield chunk[skip:] if skip else chunk
            skip = 0
    except GeneratorExit:
        response.close()
        raise
    finally:
        finish(response)


def _content_start(response: urllib3.BaseHTTPResponse, asked: int) -> int:
    text = response.headers.get("Content-Range", "")
    start = text.removeprefix("bytes ").partition("-")[0]
    return int(start) if start.isdigit() else asked


def exists(session: Session, digest: str) -> bool:
    """Whether the repository holds the blob."""
    response = session.request("HEAD", session.url(f"blobs/{digest}"), expected=(200, 404), what=f"blob {digest[:19]}")
    finish(response)
    return response.status == 200


def mount(session: Session, digest: str, source: str) -> bool:
    """Take the blob over from another repository of the same registry; False when the registry will not."""
    session.add_scope(source)
    query = urlencode({"mount": digest, "from": source})
    response = session.request(
        "POST",
        session.url(f"blobs/uploads/?{query}"),
        headers={"Content-Length": "0"},
        expected=(201, 202, 401, 403, 404),
        what=f"blob {digest[:19]}",
    )
    finish(response)
    if response.status == 202:
        _cancel(session, response)
    return response.status == 201


def _cancel(session: Session, response: urllib3.BaseHTTPResponse) -> None:
    """The registry began an upload instead of mounting: say that nothing will come."""
    location = response.headers.get("Location")
    if location:
        finish(session.request("DELETE", urljoin(session.url(""), location), expected=(200, 202, 204, 400, 401, 403, 404, 405)))


def upload(session: Session, digest: str, path: str, moved: Moved) -> None:
    """Send a file as a blob. ``moved`` gets the offset reached. Raises RegistryError."""
    size = os.path.getsize(path)
    what = f"blob {digest[:19]}"
    location = _begin(session, what)
    offset = tried = 0
    while offset < size:
        before = offset
        try:
            location = _send(session, location, path, offset, size, moved)
            offset = size
        except (HTTPError, OSError) as error:
            offset, location = _resume(session, location, what)
            tried = 1 if offset > before else tried + 1
            session.give_up_or_wait(tried, f"{session.endpoint.host} broke off: {error}", what)
    _finish(session, location, digest, what)


def upload_bytes(session: Session, digest: str, data: bytes) -> None:
    """Send a small blob in one piece, unless it is there."""
    if exists(session, digest):
        return
    what = f"blob {digest[:19]}"
    location = _begin(session, what)
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(data))}
    finish(session.request("PUT", _with_digest(location, digest), headers=headers, body=lambda: data, expected=(201, 204), what=what))


def _begin(session: Session, what: str) -> str:
    response = session.request("POST", session.url("blobs/uploads/"), headers={"Content-Length": "0"}, expected=(202,), what=what)
    finish(response)
    return _location(session, response, what)


def _location(session: Session, response: urllib3.BaseHTTPResponse, what: str) -> str:
    location = response.headers.get("Location")
    if not location:
        raise RegistryError(f"{session.endpoint.host} did not say where to send {what}")
    return urljoin(session.url(""), location)


def _send(session: Session, location: str, path: str, offset: int, size: int, moved: Moved) -> str:
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size - offset)}
    if offset:
        headers["Content-Range"] = f"{offset}-{size - 1}"
    response = session.once("PATCH", location, headers, _pieces(path, offset, moved), expected=(202, 201, 204), what=f"{path}")
    finish(response)
    return _location(session, response, "the rest")


def _pieces(path: str, offset: int, moved: Moved) -> Iterator[bytes]:
    with open(path, "rb", buffering=0) as file:
        file.seek(offset)
        while data := file.read(_CHUNK):
            offset += len(data)
            yield data
            moved(offset)


def _resume(session: Session, location: str, what: str) -> tuple[int, str]:
    """How far the registry got, and where to go on; from the start when it has forgotten."""
    response = session.request("GET", location, expected=(204, 200, 404, 405), what=what)
    finish(response)
    end = response.headers.get("Range", "").rpartition("-")[2]
    if response.status in (404, 405):
        return 0, _begin(session, what)
    return (int(end) + 1 if end.isdigit() and end != "0" else 0), _location(session, response, what) if response.headers.get(
        "Location"
    ) else location


def _finish(session: Session, location: str, digest: str, what: str) -> None:
    headers = {"Content-Length": "0", "Content-Type": "application/octet-stream"}
    finish(session.request("PUT", _with_digest(location, digest), headers=headers, expected=(201, 204), what=what))


def _with_digest(location: str, digest: str) -> str:
    return f"{location}{'&' if '?' in location else '?'}{urlencode({'digest': digest})}"
