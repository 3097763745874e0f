"""Passing log lines on to syslog (RFC 3164) or the journal (systemd's native protocol) beside keeping them. In the supervisor's worker.

Datagrams are sent without waiting: when the receiver does not keep up, lines are missing there, never here.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from runtime.errors import RuntimeFailure, Unsupported
from runtime.supervisor.facts import Facts
from runtime.supervisor.logs_format import LogLine
from runtime.supervisor.logs_reader import LogReader

_FACILITIES = tuple(
    "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp ntp security console solaris-cron".split()  # noqa: SIM905  as RFC 5424 lists them
    + [f"local{n}" for n in range(8)]
)
_INFO, _ERROR = 6, 3
JOURNAL = "/run/systemd/journal/socket"
SYSLOG = "/dev/log"

Address = str | tuple[str, int]


def forwarder(facts: Facts, directory: str) -> Callable[[], None] | None:
    """What to call after output was logged in ``directory``; None for drivers that only keep it. Raises RuntimeFailure for bad options."""
    if facts.logging.driver == "journald":
        return Forwarding(directory, lambda line: _journal_entry(facts, line), socket.AF_UNIX, JOURNAL)
    if facts.logging.driver == "syslog":
        facility = facts.logging.options.get("syslog-facility", "daemon")
        if facility not in _FACILITIES:
            raise RuntimeFailure(f"logging: invalid syslog-facility {facility!r}", hint=f"one of {', '.join(_FACILITIES)}")
        family, address = _syslog_address(facts.logging.options.get("syslog-address", f"unixgram://{SYSLOG}"))
        number = _FACILITIES.index(facility) * 8
        return Forwarding(directory, lambda line: _syslog_message(facts, number, line), family, address)
    return None


class Forwarding:
    """Reads the log as it is written and sends each line as one datagram."""

    def __init__(self, directory: str, render: Callable[[LogLine], bytes], family: socket.AddressFamily, address: Address) -> None:
        self._reader = LogReader(directory)
        self._reader.seek_tail(0)
        self._render = render
        self._address = address
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.setblocking(False)

    def __call__(self) -> None:
        """Send what has come since the last time."""
        for line in self._reader.lines():
            try:
                self._socket.sendto(self._render(line), self._address)
            except OSError:  # nobody listens, or not fast enough
                continue


def _tag(facts: Facts) -> str:
    """The ``tag`` option with the two placeholders people use."""
    tag = facts.logging.options.get("tag", "{{.ID}}")
    return tag.replace("{{.Name}}", facts.name).replace("{{.ID}}", facts.id[:12]).replace("{{.FullID}}", facts.id)


def _syslog_message(facts: Facts, facility: int, line: LogLine) -> bytes:
    severity = _ERROR if line.stream == "stderr" else _INFO
    when = time.strftime("%b %e %H:%M:%S", time.localtime(line.time_ns / 1e9))
    return f"<{facility + severity}>{when} {_tag(facts)}: ".encode() + line.text


def _journal_entry(facts: Facts, line: LogLine) -> bytes:
    fields = {
        "PRIORITY": str(_ERROR if line.stream == "stderr" else _INFO),
        "CONTAINER_ID": facts.id[:12],
        "CONTAINER_ID_FULL": facts.id,
        "CONTAINER_NAME": facts.name,
        "CONTAINER_TAG": _tag(facts),
        "IMAGE_NAME": facts.image,
        "SYSLOG_IDENTIFIER": _tag(facts),
        "COM_DOCKER_COMPOSE_SERVICE": facts.service,
        **({"CONTAINER_PARTIAL_MESSAGE": "true"} if line.partial else {}),
    }
    head = "".join(f"{key}={value}\n" for key, value in fields.items() if "\n" not in value).encode()
    return head + b"MESSAGE\n" + len(line.text).to_bytes(8, "little") + line.text + b"\n"


def _syslog_address(text: str) -> tuple[socket.AddressFamily, Address]:
    """``unixgram:///path``, ``unix:///path`` or ``udp://host:port``; stream protocols would make the worker wait."""
    scheme, _, rest = text.partition("://")
    if scheme in ("unixgram", "unix"):
        return socket.AF_UNIX, rest
    if scheme == "udp":
        host, _, port = rest.rpartition(":") if ":" in rest else (rest, "", "514")
        found = socket.getaddrinfo(host.strip("[]"), int(port or 514), type=socket.SOCK_DGRAM)[0]
        return found[0], (str(found[4][0]), int(found[4][1]))
    raise Unsupported(f"logging: syslog-address {text} is not supported", hint="use unixgram:///dev/log or udp://host:514")
