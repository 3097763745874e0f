"""A registry made of a table: serves whatever a test wants served, with token authentication and redirects. Runs in threads of the test."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Answer:
    body: bytes
    content_type: str = "application/octet-stream"
    status: int = 200
    location: str = ""


class Stub:
    """``table`` maps paths to answers; with ``token`` set, ``/v2/`` wants it as Bearer and ``/token`` gives it (to ``user`` alone, if set)."""

    def __init__(self, port: int) -> None:
        self.host = f"localhost:{port}"
        self.table: dict[str, Answer] = {}
        self.token = ""
        self.user = ""
        self.refresh = ""
        self.seen: list[tuple[str, Mapping[str, str]]] = []
        stub = self

        class Handler(_Handler):
            owner = stub

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def blob(self, data: bytes, media_type: str = LAYER) -> dict[str, object]:
        """Serve a blob; returns its descriptor."""
        self.table[f"/v2/x/blobs/{digest_of(data)}"] = Answer(data)
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}

    def manifest(self, document: object, media_type: str = MANIFEST, tag: str = "latest") -> dict[str, object]:
        """Serve a manifest by tag and digest; returns its descriptor."""
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        answer = Answer(data, media_type)
        self.table[f"/v2/x/manifests/{tag}"] = self.table[f"/v2/x/manifests/{digest_of(data)}"] = answer
        return {"mediaType": media_type, "digest": digest_of(data), "size": len(data), "platform": {"os": "linux", "architecture": "amd64"}}

    def image(self, layer: bytes, **changes: object) -> dict[str, object]:
        """A whole image of one layer; ``changes`` replace fields of its manifest."""
        config = json.dumps({"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": [digest_of(layer)]}}).encode()
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": self.blob(config, CONFIG), "layers": [self.blob(layer)], **changes}
        self.manifest({k: v for k, v in document.items() if v is not None})
        return document


class _Handler(BaseHTTPRequestHandler):
    owner: Stub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        return

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        self.owner.seen.append((f"{self.command} {self.path}", dict(self.headers)))
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if parts.path == "/token":
            self._token(parse_qs(parts.query), parse_qs(body.decode()))
        elif self.owner.token and parts.path.startswith("/v2/") and self.headers.get("Authorization") != f"Bearer {self.owner.token}":
            challenge = f'Bearer realm="http://{self.owner.host}/token",service="stub",scope="repository:x:pull"'
            self._send(Answer(b"{}", "application/json", 401), {"WWW-Authenticate": challenge})
        else:
            self._send(self.owner.table.get(parts.path, Answer(b'{"errors":[{"message":"unknown"}]}', status=404)), {})

    do_GET = do_HEAD = do_POST = _handle  # noqa: N815

    def _token(self, query: Mapping[str, list[str]], form: Mapping[str, list[str]]) -> None:
        wanted = f"Basic {base64.b64encode(self.owner.user.encode()).decode()}"
        if self.owner.refresh:
            allowed = form.get("refresh_token") == [self.owner.refresh] and form.get("grant_type") == ["refresh_token"]
        else:
            allowed = not self.owner.user or self.headers.get("Authorization") == wanted
            allowed = allowed and query.get("service") == ["stub"] and "repository:x:pull" in query.get("scope", [])
        answer = json.dumps({"access_token": self.owner.token} if self.owner.refresh else {"token": self.owner.token}).encode()
        self._send(Answer(answer, "application/json") if allowed else Answer(b"{}", status=401), {})

    def _send(self, answer: Answer, headers: Mapping[str, str]) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if answer.location:
            self.send_header("Location", answer.location)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
