"""``RUN --mount=type=ssh``: an agent's socket for one step, with the owner and mode the step wants. In threads of the command's process.

Agents serve their own user and root only, so a socket of ours stands before the real one and passes bytes on. A key file gets an agent of its own.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import threading
from contextlib import ExitStack

from runtime.errors import BuildError

_CHUNK = 64 << 10
_TIMEOUT = 10.0


def serve(source: str, path: str, *, mode: int, uid: int, gid: int, held: ExitStack) -> None:
    """Listen at ``path`` until ``held`` closes. ``source`` is an agent's socket or a key file. Raises BuildError when it is neither."""
    try:
        found = os.stat(source)
    except OSError as error:
        raise BuildError(f"ssh: {source}: {error.strerror}") from None
    if not stat.S_ISSOCK(found.st_mode):
        source = _agent_of_key(source, f"{path}.agent", held)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.chown(path, uid, gid)
    os.chmod(path, mode)
    listener.listen()
    held.callback(_close, listener)
    threading.Thread(target=_accept, args=(listener, source), daemon=True).start()


def _close(listener: socket.socket) -> None:
    """End the accepting thread: a mere close would leave it waiting."""
    with listener:
        listener.shutdown(socket.SHUT_RDWR)


def _accept(listener: socket.socket, source: str) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_pass_on, args=(connection, source), daemon=True).start()


def _pass_on(connection: socket.socket, source: str) -> None:
    with connection, socket.socket(socket.AF_UNIX) as agent:
        try:
            agent.connect(source)
        except OSError:
            return
        back = threading.Thread(target=_pump, args=(agent, connection), daemon=True)
        back.start()
        _pump(connection, agent)
        back.join()


def _pump(origin: socket.socket, target: socket.socket) -> None:
    try:
        while piece := origin.recv(_CHUNK):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


def _agent_of_key(key: str, path: str, held: ExitStack) -> str:
    import subprocess

    programs = [shutil.which("ssh-agent"), shutil.which("ssh-add")]
    agent, adder = programs
    if agent is None or adder is None:
        raise BuildError("a key file for ssh needs ssh-agent and ssh-add, which are not installed", hint="apt-get install openssh-client")
    started = subprocess.run([agent, "-a", path, "-s"], capture_output=True, text=True, timeout=_TIMEOUT, check=False)
    pid = started.stdout.partition("SSH_AGENT_PID=")[2].partition(";")[0]
    if started.returncode or not pid.isdigit():
        raise BuildError(f"ssh-agent could not be started: {started.stderr.strip()}")
    held.callback(_stop, int(pid))
    environment = {**os.environ, "SSH_AUTH_SOCK": path, "SSH_ASKPASS_REQUIRE": "never"}
    added = subprocess.run(
        [adder, "-q", key], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_TIMEOUT, check=False
    )
    if added.returncode:
        raise BuildError(
            f"ssh: {key}: {added.stderr.strip()[-300:]}", hint="a key with a passphrase has to be in an agent: ssh-add, then --ssh default"
        )
    return path


def _stop(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGTERM)
    except ProcessLookupError:
        return
