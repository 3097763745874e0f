"""Opening a container's log as its driver asks: json-file, local, syslog and journald are kept (so that ``logs`` works), none is not. In the worker."""

from __future__ import annotations

from runtime.errors import Unsupported
from runtime.supervisor.facts import Facts
from runtime.supervisor.logs_format import rotation
from runtime.supervisor.logs_writer import Discarded, LogWriter

KEPT = ("", "json-file", "local", "syslog", "journald")


def open_log(facts: Facts) -> LogWriter | Discarded:
    """The log to write. Raises Unsupported for drivers that are not there, RuntimeFailure for options that make no sense."""
    driver = facts.logging.driver
    if driver == "none":
        return Discarded()
    if driver not in KEPT:
        raise Unsupported(f"logging driver {driver} is not supported", hint=f"use one of {', '.join((*KEPT[1:], 'none'))}")
    return LogWriter(f"{facts.directory}/logs", rotation(facts.logging))
