"""A proxy in front of a registry that does what networks and registries do on bad days. Runs in threads of the test."""

from __future__ import annotations

import http.client
import re
import socket
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal


@dataclass
class Fault:
    """Happens to the next ``times`` requests whose "METHOD path" matches; ``at`` is the byte of the body where it happens."""

    pattern: str
    kind: Literal["cut", "status", "flip", "short", "long", "refuse", "type", "ignore-range", "eat", "stall"]
    times: int = 1
    at: int = 0
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)


class FaultProxy:
    """Listens on 127.0.0.1 and passes on to ``target`` ("host:port"); ``seen`` are the requests."""

    def __init__(self, target: str, port: int) -> None:
        self.target = target
        self.faults: list[Fault] = []
        self.seen: list[str] = []
        self.ranges: list[str] = []
        self.stalled = threading.Event()
        self.closing = threading.Event()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()

    def fault_for(self, line: str) -> Fault | None:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.pattern, line):
                fault.times -= 1
                return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    owner: FaultProxy
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *arguments: object) -> None:
        return

    def _handle(self) -> None:
        line = f"{self.command} {self.path}"
        self.owner.seen.append(line)
        if "Range" in self.headers:
            self.owner.ranges.append(self.headers["Range"])
        fault = self.owner.fault_for(line)
        if fault is not None and fault.kind == "refuse":
            self._drop()
            return
        body = self._request_body(fault)
        if body is None:
            return
        if fault is not None and fault.kind == "status":
            self._answer(fault.status, fault.headers, b'{"errors":[{"code":"X","message":"a bad day"}]}')
            return
        self._pass_on(body, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815

    def _request_body(self, fault: Fault | None) -> bytes | None:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        length = int(self.headers.get("Content-Length") or 0)
        if fault is not None and fault.kind == "eat":
            part = self.rfile.read(min(fault.at, length))
            self._send_partially(part, length)
            self._drop()
            return None
        return self.rfile.read(length)

    def _send_partially(self, part: bytes, length: int) -> None:
        """Pass on only the first bytes of an upload, then hang up on both sides."""
        host, port = self.owner.target.split(":")
        with socket.create_connection((host, int(port))) as upstream:
            head = f"{self.command} {self.path} HTTP/1.1\r\nHost: {self.headers['Host']}\r\nContent-Length: {length}\r\n"
            head += "Content-Type: application/octet-stream\r\n\r\n"
            upstream.sendall(head.encode() + part)

    def _pass_on(self, body: bytes, fault: Fault | None) -> None:
        upstream = http.client.HTTPConnection(self.owner.target)
        headers = {k: v for k, v in self.headers.items() if k.lower() != "transfer-encoding"}
        headers["Content-Length"] = str(len(body))
        if fault is not None and fault.kind == "ignore-range":
            headers.pop("Range", None)
        if self.command in ("GET", "HEAD"):
            headers.pop("Content-Length")
        upstream.request(self.command, self.path, body or None, headers)
        answer = upstream.getresponse()
        content = answer.read()
        passed = {k: v for k, v in answer.getheaders() if k.lower() not in ("transfer-encoding", "connection")}
        upstream.close()
        self._answer_with(answer.status, passed, content, fault)

    def _answer_with(self, status: int, headers: dict[str, str], content: bytes, fault: Fault | None) -> None:
        match fault.kind if fault else "":
            case "cut":
                self._answer(status, headers, content[: fault.at] if fault else b"")
                self._drop()
            case "stall":
                self._answer(status, headers, content[: fault.at] if fault else b"")
                self.owner.stalled.set()
                self.owner.closing.wait(60)
            case "flip":
                at = fault.at if fault else 0
                self._answer(status, headers, content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
            case "short":
                cut = content[: fault.at if fault else 0]
                self._answer(status, {**headers, "Content-Length": str(len(cut))}, cut)
            case "long":
                self._answer(status, {**headers, "Content-Length": str(len(content) + 10)}, content + b"0123456789")
            case "type":
                self._answer(status, {**headers, **(fault.headers if fault else {})}, content)
            case _:
                self._answer(status, headers, content)

    def _answer(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        if "content-length" not in {k.lower() for k in headers}:
            self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
            self.wfile.flush()

    def _drop(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)
