"""The networker as the engine sees it: an async client that starts the worker process and shares it among all operations of a command.

Runs in the command's process; imports neither pyroute2 nor libnftables. There is no background task: of all callers that wait, one reads the socket
for the others, so a ``Networker`` may be entered and left in different tasks.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Self

import anyio
import anyio.lowlevel

from runtime import codec, errors
from runtime.errors import RuntimeFailure
from runtime.network import spawn
from runtime.network.elements import Link, Target
from runtime.spec import EndpointSpec, NetworkSpec, PortSpec
from runtime.store import Paths

__all__ = ["Link", "Networker", "Target"]

_EXIT_GRACE = 2.0  # seconds; the worker ends by itself when its socket closes


class _Call:
    """One request under way: the line, for sending it again to a new worker, and the reply."""

    __slots__ = ("line", "reply", "turn")

    def __init__(self, line: bytes) -> None:
        self.line = line
        self.reply: Mapping[str, object] | None = None
        self.turn = anyio.Event()


class Networker:
    """``async with Networker(paths) as networker``. Every method is idempotent; a worker that died is started again, once.

    All raise RuntimeFailure (Conflict, Unsupported …) with a hint. A cancelled call may still be carried out: undo it by the opposite method.
    """

    def __init__(self, paths: Paths) -> None:
        self._paths = paths
        self._socket: socket.socket | None = None
        self._pid = 0
        self._calls: dict[int, _Call] = {}
        self._count = 0
        self._reading = False
        self._outbox: list[bytes] = []
        self._sending = anyio.Lock()
        self._revived = False
        self._shared = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            with anyio.move_on_after(_EXIT_GRACE, shield=True):
                await _ended(self._pid)

    def warm(self) -> None:
        """Start the worker now, without waiting for it; it imports while the caller goes on."""
        if self._socket is None:
            self._socket, self._pid = spawn.take(self._paths.run)
            self._shared = False

    async def create_network(self, network: NetworkSpec) -> tuple[str, ...]:
        """Make or complete the bridge and its rules; the host's sysctls that were switched on for it ("net.ipv4.ip_forward=1")."""
        switched = await self._call("create_network", network=codec.encode(network))
        return tuple(str(s) for s in switched) if isinstance(switched, list) else ()

    async def remove_network(self, network: NetworkSpec) -> None:
        """Remove the bridge and its rules; our tables go with the last network."""
        await self._call("remove_network", network=codec.encode(network))

    async def attach(
        self, container_id: str, netns_path: str, endpoints: Sequence[tuple[EndpointSpec, NetworkSpec]], sysctls: Mapping[str, str]
    ) -> Mapping[str, str]:
        """Pin the container's network namespace with lo up, and give it an interface per endpoint; network name → interface name.

        ``endpoints`` are all that the container is to have (present ones are kept): the default route is chosen among them. Bridges that are
        missing are made. ``sysctls`` are ``net.…`` parameters. No endpoints is ``network_mode: none``.
        """
        wired = [[codec.encode(e), codec.encode(n)] for e, n in endpoints]
        names = await self._call("attach", container=container_id, path=netns_path, endpoints=wired, sysctls=dict(sysctls))
        return {str(k): str(v) for k, v in names.items()} if isinstance(names, dict) else {}

    async def detach(self, container_id: str, network_name: str) -> None:
        """Take away the interface on a network. ``attach`` with the remaining endpoints sets the default route anew."""
        await self._call("detach", container=container_id, network=network_name)

    async def publish(self, container_id: str, ports: Sequence[PortSpec], target: Target | tuple[str | None, str | None, str]) -> None:
        """Send host ports to the container, in place of those it had. ``target``: its addresses (v4, v6) and bridge on ``ipam.gateway_endpoint``.

        Raises Conflict when another container has a port; processes of the host are the supervisor's to notice.
        """
        await self._call("publish", container=container_id, ports=[codec.encode(p) for p in ports], target=list(target))

    async def unpublish(self, container_id: str) -> None:
        """Take the container's host ports away."""
        await self._call("unpublish", container=container_id)

    async def allow(self, container_id: str, links: Iterable[Link]) -> None:
        """On networks with enable_icc=false: the ports of others that this container may reach (links), in place of those before."""
        await self._call("allow", container=container_id, links=[list(one) for one in links])

    async def remove_container(self, container_id: str, *, rules: bool = True) -> None:
        """Take away rules and namespace; the interfaces vanish with it. ``rules``: whether it can have any, for looking costs milliseconds."""
        await self._call("remove_container", container=container_id, rules=rules)

    async def _call(self, method: str, **arguments: object) -> object:
        self.warm()
        self._count += 1
        number = self._count
        call = _Call(json.dumps({"id": number, "method": method, "arguments": arguments}).encode() + b"\n")
        self._calls[number] = call
        try:
            await self._send(call.line)
            while call.reply is None:
                await self._await_turn(call)
        finally:
            del self._calls[number]
            self._hand_over()
        if failure := call.reply.get("error"):
            raise _failure(failure)
        return call.reply.get("result")

    async def _send(self, line: bytes) -> None:
        """Send the line, together with those of all callers of this turn of the event loop: they make one batch."""
        self._outbox.append(line)
        with anyio.CancelScope(shield=True):  # half a line would garble the next
            await anyio.lowlevel.checkpoint()
            async with self._sending:
                pending, self._outbox = b"".join(self._outbox), []
                while pending and self._socket is not None:
                    try:
                        pending = pending[self._send_some(self._socket, pending) :]
                    except BlockingIOError:
                        await anyio.wait_writable(self._socket)
                    except (BrokenPipeError, ConnectionResetError):
                        return  # the reader notices, and sends everything again

    def _send_some(self, channel: socket.socket, data: bytes) -> int:
        """Send what the socket takes; with a worker's first bytes go copies of the descriptors it is to hold."""
        if self._shared or not spawn.shared:
            return channel.send(data, socket.MSG_NOSIGNAL)
        sent = socket.send_fds(channel, [data], spawn.shared, socket.MSG_NOSIGNAL)
        self._shared = True
        return sent

    async def _await_turn(self, call: _Call) -> None:
        """Read for everybody, or wait for whoever reads."""
        if self._socket is None:
            raise _died()
        if self._reading:
            await call.turn.wait()
            call.turn = anyio.Event()
            return
        self._reading = True
        try:
            await anyio.wait_readable(self._socket)
            await self._receive(self._socket)
        finally:
            self._reading = False
            self._hand_over()

    def _hand_over(self) -> None:
        """Wake somebody who still waits, to read next. Whoever leaves calls this: the one that was woken may have been cancelled meanwhile."""
        if not self._reading:
            for call in self._calls.values():
                if call.reply is None:
                    call.turn.set()
                    return

    async def _receive(self, channel: socket.socket) -> None:
        lines = _read_lines(channel)
        if lines is None:
            await self._revive()
        for line in lines or ():
            reply = json.loads(line)
            if call := self._calls.get(reply["id"]):
                call.reply = reply
                call.turn.set()

    async def _revive(self) -> None:
        """The worker is gone (killed): start another and ask everything again, since all of it is idempotent. Once."""
        if self._socket is not None:
            self._socket.close()
        if self._revived:
            self._socket = None
            self._give_up()
            return
        self._revived = True
        self._socket, self._pid = spawn.worker(self._paths.run)
        self._shared = False
        for call in list(self._calls.values()):
            if call.reply is None:
                await self._send(call.line)

    def _give_up(self) -> None:
        """Fail everything under way: a worker that is started for a later call (to undo something) would know nothing of it."""
        failure = {"error": {"message": _died().message, "hint": _died().hint}}
        for call in self._calls.values():
            call.reply = call.reply or failure
            call.turn.set()


def _read_lines(channel: socket.socket) -> list[bytes] | None:
    """Every line there is; None at the end of the stream. The worker writes whole lines, so the rest of one is on its way: wait for it."""
    data = b""
    try:
        while not data.endswith(b"\n"):
            channel.setblocking(bool(data))
            if not (part := channel.recv(1 << 20)):
                return None
            data += part
    except BlockingIOError:
        return []
    except ConnectionResetError:
        return None
    finally:
        channel.setblocking(False)
    return data.splitlines()


async def _ended(pid: int) -> None:
    """Wait for our child and reap it."""
    descriptor = os.pidfd_open(pid)
    try:
        await anyio.wait_readable(descriptor)
        os.waitid(os.P_PIDFD, descriptor, os.WEXITED | os.WNOHANG)  # noqa: ASYNC222 - it has ended: this does not block
    finally:
        os.close(descriptor)


def _died() -> RuntimeFailure:
    return RuntimeFailure("the network worker died", hint="run the command again; pycompose doctor may tell why")


def _failure(error: object) -> RuntimeFailure:
    fields = error if isinstance(error, dict) else {}
    kinds: dict[str, type[RuntimeFailure]] = {
        "Conflict": errors.Conflict, "InUse": errors.InUse, "NotFound": errors.NotFound, "Unsupported": errors.Unsupported,
    }  # fmt: skip
    kind = kinds.get(str(fields.get("kind")), RuntimeFailure)
    return kind(str(fields.get("message", "the network worker failed")), hint=fields.get("hint"))
