"""Limits, devices and logging of services. Tables, in the order in which ``config`` prints them."""

from __future__ import annotations

from collections.abc import Callable

from compose.schema.base import Plain, Reading
from compose.schema.collections import KeyValues, ListOf, MapOf, TextMap
from compose.schema.objects import Object, attribute
from compose.schema.parts import INTEGER, STRING, unique_strings
from compose.schema.scalars import Integer, Size, Text
from compose.schema.tree import Map, Origin, Value


def _ulimit(value: Value, origin: Origin | None, reading: Reading) -> Value:
    return Integer().read(value, origin, reading)


class Ulimit(Object):
    """A number for both limits, or ``soft`` and ``hard``."""

    __slots__ = ()

    def show(self, value: Value, json: bool) -> Plain:
        """The number, or the two; zeros have no JSON form."""
        if not isinstance(value, Map):
            return value or ({} if json else {"soft": 0, "hard": 0})  # type: ignore[return-value]
        return {k: v for k in ("soft", "hard") if (v := value.get(k))} if json else Object.show(self, value, json)  # type: ignore[misc]


ulimits = MapOf(
    Ulimit(
        "ulimits",
        (
            attribute("soft", Integer(), "What counts.", required=True, keep=True),
            attribute("hard", Integer(), "How far a process may raise it.", required=True, keep=True),
        ),
        short=_ulimit,
        short_schemas=(INTEGER, STRING),
    )
)


class Count(Integer):
    """A number of devices, or ``all``."""

    __slots__ = ()

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        """The number; -1 for all."""
        return -1 if value == "all" else Integer.read(self, value, origin, reading)


_request = (
    attribute("capabilities", unique_strings, "What the device must be able to do."),
    attribute("driver", Text(), "Its driver."),
    attribute("count", Count(), "How many, or all.", told=True),
    attribute("device_ids", unique_strings, "Which ones."),
    attribute("options", KeyValues(), "Options of the driver."),
)


def _capable(request: Map, reading: Reading) -> None:
    if "capabilities" not in request and "driver" not in request:
        reading.problem("'capabilities' is missing", request.origin, hint="such as capabilities: [gpu]")


gpu_request = Object("gpus", _request, lenient=True)
device_request = Object("devices", _request, finish=_capable)


def _of_device(figure: str) -> Callable[[Map, Reading], None]:
    """What limits of a device always have."""

    def finish(entry: Map, reading: Reading) -> None:
        if not reading.as_written:
            for key, value in (("path", ""), (figure, 0)):
                if entry.get(key) is None:
                    entry.put(key, value, entry.origin)

    return finish


_bps = ListOf(
    Object(
        "blkio_config",
        (
            attribute("path", Text(), "The device.", keep=True),
            attribute("rate", Size(), "Bytes or operations a second.", keep=True),
        ),
        extensions=False,
        capitals=True,
        finish=_of_device("rate"),
    )
)

blkio_config = Object(
    "blkio_config",
    (
        attribute("weight", Integer(), "Relative weight, 10 to 1000."),
        attribute(
            "weight_device",
            ListOf(
                Object(
                    "blkio_config",
                    (
                        attribute("path", Text(), "The device.", keep=True),
                        attribute("weight", Integer(), "Its weight.", keep=True),
                    ),
                    extensions=False,
                    capitals=True,
                    finish=_of_device("weight"),
                )
            ),
            "Weights of single devices.",
        ),
        attribute("device_read_bps", _bps, "Limits of reading, in bytes a second."),
        attribute("device_read_iops", _bps, "Limits of reading, in operations a second."),
        attribute("device_write_bps", _bps, "Limits of writing, in bytes a second."),
        attribute("device_write_iops", _bps, "Limits of writing, in operations a second."),
    ),
    extensions=False,
)

logging = Object(
    "logging",
    (
        attribute("driver", Text(), "Who keeps the output."),
        attribute("options", TextMap(nulls=True), "Options of the driver."),
    ),
)
