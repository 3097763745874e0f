"""The network worker: one process per changing command that makes links and rules. Started by ``client`` at the far end of a socket pair.

JSON lines both ways. Whatever has arrived while a batch was at work is the next batch: its links are made in one netlink send, its firewall changes
in one nftables transaction. When the other end closes, the batch in hand is finished and the process ends.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from runtime import codec
from runtime.errors import RuntimeFailure
from runtime.network import bridge, elements, endpoints, host, pins
from runtime.network.elements import Change, Link, Target
from runtime.network.endpoints import Attachment
from runtime.network.firewall import Firewall
from runtime.network.ipam import veth_name
from runtime.network.netlink import RouteSocket
from runtime.record import dataclass
from runtime.spec import EndpointSpec, NetworkSpec, PortSpec

# Requests of one batch do not wait for each other, except that what undoes comes behind what it undoes.
_ORDER = ("create_network", "attach", "allow", "publish", "unpublish", "detach", "remove_container", "remove_network")


@dataclass(slots=True)
class Request:
    """One line from the client, and what to answer."""

    id: int
    method: str
    arguments: Mapping[str, Any]
    failure: RuntimeFailure | None = None
    result: object = None

    def reply(self) -> bytes:
        """The line to send back."""
        body: dict[str, object] = {"id": self.id}
        if self.failure:
            body["error"] = {"kind": type(self.failure).__name__, "message": self.failure.message, "hint": self.failure.hint}
        else:
            body["result"] = self.result
        return json.dumps(body).encode() + b"\n"


class Worker:
    """The sockets and the firewall of one instance; ``handle`` carries out a batch."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._route = RouteSocket()
        self._firewall = Firewall(run)
        self._ready: set[str] = set()  # bridges that this process has made or seen complete

    def handle(self, batch: Sequence[Request]) -> None:
        """Carry out all requests; each one's ``failure`` or ``result`` says how it went."""
        pending: list[tuple[Request, Change]] = []
        for method in _ORDER:
            requests = [r for r in batch if r.method == method]
            if requests:
                pending += getattr(self, f"_{method}")(requests)
        self._change_firewall([(r, c) for r, c in pending if r.failure is None])
        for request in batch:
            if request.method == "remove_network" and request.failure is None:
                self._delete_bridge(request)
            if request.method not in _ORDER:
                request.failure = RuntimeFailure(f"the network worker knows no {request.method!r}")

    def _create_network(self, requests: Sequence[Request]) -> list[tuple[Request, Change]]:
        found: list[tuple[Request, Change]] = []
        for request in requests:
            network = codec.decode(NetworkSpec, request.arguments["network"])
            with _into(request):
                request.result = self._ensure(network)
            found.append((request, elements.add_network(network)))
        return found

    def _attach(self, requests: Sequence[Request]) -> list[tuple[Request, Change]]:
        return [change for some in _rounds(requests) for change in self._attach_round(some)]

    def _attach_round(self, requests: Sequence[Request]) -> list[tuple[Request, Change]]:
        wishes = [_attachment(r.arguments) for r in requests]
        changes = [c for r, w in zip(requests, wishes, strict=True) for c in self._networks_of(r, w)]
        able = [w for r, w in zip(requests, wishes, strict=True) if r.failure is None]
        endpoints.attach(self._route, able)
        for request, wish in zip(requests, wishes, strict=True):
            request.failure = request.failure or wish.failure
            request.result = wish.interfaces
            closed = [veth_name(wish.container_id, n.name) for _, n in wish.endpoints if not n.icc]
            if closed:
                changes.append((request, elements.isolate(wish.container_id, closed)))
        return changes

    def _networks_of(self, request: Request, wish: Attachment) -> list[tuple[Request, Change]]:
        """Bridges that are missing since a reboot are made again."""
        missing = [n for _, n in wish.endpoints if not self._is_ready(n)]
        with _into(request):
            for network in missing:
                self._ensure(network)
        return [(request, elements.add_network(n)) for n in missing]

    def _allow(self, requests: Sequence[Request]) -> list[tuple[Request, Change]]:
        return [(r, elements.allow(r.arguments["container"], [Link(*one) for one in r.arguments["links"]])) for r in requests]

    def _publish(self, requests: Sequence[Request]) -> list[tuple[Request, Change]]:
        return [(r, _publication(r.arguments)) for r in requests]

    def _unpublish(self, requests: Sequence[Request]) -> list[tuple[Request, Change]]:
        return [(r, elements.unpublish(r.arguments["container"])) for r in requests]

    def _detach(self, requests: Sequence[Request]) -> list[tuple[Request, Change]]:
        found: list[tuple[Request, Change]] = []
        for request in requests:
            container, network = request.arguments["container"], request.arguments["network"]
            with _into(request):
                endpoints.detach(self._route, container, network)
            found.append((request, elements.release(veth_name(container, network))))
        return found

    def _remove_container(self, requests: Sequence[Request]) -> list[tuple[Request, Change]]:
        """Unpinned first: who finds a pin must find the interfaces, too. Held open meanwhile, so that the interfaces can be deleted together."""
        with contextlib.ExitStack() as held:
            for request in requests:
                with _into(request):
                    held.enter_context(pins.let_go(f"{self._run}/netns/{request.arguments['container']}"))
            with _into(requests[0]):
                endpoints.remove(self._route, [r.arguments["container"] for r in requests])
        return [(r, elements.remove_owner(r.arguments["container"])) for r in requests if r.arguments["rules"]]

    def _remove_network(self, requests: Sequence[Request]) -> list[tuple[Request, Change]]:
        return [(r, elements.remove_owner(r.arguments["network"]["id"])) for r in requests]

    def _delete_bridge(self, request: Request) -> None:
        """Behind the firewall's change, so that no rule names a bridge that is not there; the emptied directory of DNS records goes too."""
        network = codec.decode(NetworkSpec, request.arguments["network"])
        self._ready.discard(network.bridge)
        with _into(request):
            bridge.remove(self._route, network)
            with contextlib.suppress(OSError):  # not there, or in use again
                os.rmdir(f"{self._run}/names/{network.name}")

    def _ensure(self, network: NetworkSpec) -> tuple[str, ...]:
        if self._is_ready(network):
            return ()
        switched = bridge.ensure(self._route, network)
        self._ready.add(network.bridge)
        return switched

    def _is_ready(self, network: NetworkSpec) -> bool:
        return network.bridge in self._ready and host.link_exists(network.bridge)

    def _change_firewall(self, changes: Sequence[tuple[Request, Change]]) -> None:
        if not changes:
            return
        try:
            refusals = self._firewall.apply([c for _, c in changes])
        except RuntimeFailure as failure:
            refusals = [failure] * len(changes)
        for (request, _), refusal in zip(changes, refusals, strict=True):
            request.failure = request.failure or refusal


class _into:  # noqa: N801 - reads as a preposition: with _into(request)
    """A failure becomes the request's answer; the batch goes on."""

    def __init__(self, request: Request) -> None:
        self._request = request

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, OSError):
            error = RuntimeFailure(f"{self._request.method.replace('_', ' ')}: {error.strerror} {error.filename or ''}".rstrip())
        if isinstance(error, RuntimeFailure):
            self._request.failure = self._request.failure or error
            return True
        return False


def _rounds(requests: Sequence[Request]) -> list[list[Request]]:
    """Requests in groups with no container twice (a call that was cancelled, and its repetition)."""
    rounds: list[list[Request]] = []
    seen: Counter[str] = Counter()
    for request in requests:
        container = request.arguments["container"]
        if seen[container] == len(rounds):
            rounds.append([])
        rounds[seen[container]].append(request)
        seen[container] += 1
    return rounds


def _attachment(arguments: Mapping[str, Any]) -> Attachment:
    wired = [(codec.decode(EndpointSpec, e), codec.decode(NetworkSpec, n)) for e, n in arguments["endpoints"]]
    return Attachment(container_id=arguments["container"], path=arguments["path"], endpoints=wired, sysctls=arguments["sysctls"])


def _publication(arguments: Mapping[str, Any]) -> Change:
    ports = [codec.decode(PortSpec, p) for p in arguments["ports"]]
    return elements.publish(arguments["container"], ports, Target(*arguments["target"]))


def serve(channel: socket.socket, worker: Worker) -> None:
    """Batch after batch, until the client closes its end."""
    buffer = b""
    while data := _all_there_is(channel):
        *lines, buffer = (buffer + data).split(b"\n")
        batch = [Request(one["id"], one["method"], one["arguments"]) for one in map(json.loads, lines)]
        try:
            worker.handle(batch)
        except Exception as error:
            _blame(batch, error)
        channel.sendall(b"".join(r.reply() for r in batch))


def _all_there_is(channel: socket.socket) -> bytes:
    """What has arrived; waits only when that is nothing. Descriptors that come along are the client's locks: held until this process ends."""
    parts = [socket.recv_fds(channel, 1 << 20, 4)[0]]
    while parts[-1]:
        try:
            parts.append(channel.recv(1 << 20, socket.MSG_DONTWAIT))
        except BlockingIOError:
            break
    return b"".join(parts)


def _blame(batch: Iterable[Request], error: Exception) -> None:
    """An error nobody foresaw must reach the user as a sentence, not as a dead worker."""
    for request in batch:
        request.failure = request.failure or RuntimeFailure(f"network: {type(error).__name__}: {error}", hint="run pycompose doctor")


def main(descriptor: int, run: str) -> None:
    """The process: ``descriptor`` is its end of the socket pair, ``run`` the instance's run directory."""
    channel = socket.socket(fileno=descriptor)
    try:
        serve(channel, Worker(run))
    except (BrokenPipeError, ConnectionResetError):
        pass
    finally:
        os._exit(0)  # nothing to flush, and the command is waiting for this process to be gone
