"""Messages between client and supervisor: one JSON object per line, failures carried as data. In the worker and its callers."""

from __future__ import annotations

import json
from collections.abc import Mapping

from runtime import errors
from runtime.errors import RuntimeFailure

_EXTRAS = ("exit_code", "hint", "stage", "errno", "call", "subject")
Message = Mapping[str, object]


def line(message: Message) -> bytes:
    """A message on the wire."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def failure_message(failure: RuntimeFailure) -> dict[str, object]:
    """A failure as data: its class, its message, and whatever else its kind carries."""
    extras = {name: getattr(failure, name) for name in _EXTRAS if getattr(failure, name, None) is not None}
    return {"error": {"kind": type(failure).__name__, "message": failure.message, **extras}}


def failure_from(error: Mapping[str, object]) -> RuntimeFailure:
    """The failure that ``failure_message`` described, of the same class where this version knows it."""
    kind = getattr(errors, str(error.get("kind")), RuntimeFailure)
    if not (isinstance(kind, type) and issubclass(kind, RuntimeFailure)):
        kind = RuntimeFailure
    failure = kind.__new__(kind)
    RuntimeFailure.__init__(failure, str(error.get("message", "")))
    for name in _EXTRAS:
        if name in error:
            setattr(failure, name, error[name])
    return failure
