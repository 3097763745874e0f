"""The socket that stands before an agent's: bytes go both ways, and nothing listens any more afterwards."""

from __future__ import annotations

import os
import socket
import stat
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from runtime.build import agent
from runtime.errors import BuildError


def test_bytes_are_passed_on_both_ways(tmp_path: Path) -> None:
    real, path = str(tmp_path / "real"), str(tmp_path / "ours")
    with socket.socket(socket.AF_UNIX) as listener, ExitStack() as held:
        listener.bind(real)
        listener.listen()
        threading.Thread(target=_answer, args=(listener, 3), daemon=True).start()
        agent.serve(real, path, mode=0o640, uid=os.getuid(), gid=os.getgid(), held=held)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o640
        for number in range(3):
            assert _ask(path, f"question {number}".encode() * 20_000) == f"question {number}".encode()[::-1]
    with pytest.raises(ConnectionRefusedError):
        _ask(path, b"anybody?")


def test_what_is_no_agent_is_told(tmp_path: Path) -> None:
    with ExitStack() as held, pytest.raises(BuildError, match="No such file"):
        agent.serve(str(tmp_path / "none"), str(tmp_path / "ours"), mode=0o600, uid=0, gid=0, held=held)


def _answer(listener: socket.socket, times: int) -> None:
    for _ in range(times):
        connection, _ = listener.accept()
        with connection:
            content = b""
            while piece := connection.recv(65536):
                content += piece
            connection.sendall(content[:10][::-1])


def _ask(path: str, question: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        client.sendall(question)
        client.shutdown(socket.SHUT_WR)
        return client.recv(100)
