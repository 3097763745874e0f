"""Sub-objects that services are made of: ports, mounts, files, devices, hooks, health, limits. Tables, in the order in which ``config`` prints them."""

from __future__ import annotations

import posixpath

from compose.schema import mounts
from compose.schema.base import Plain, Reading
from compose.schema.collections import KeyValues, ListOf, TextMap
from compose.schema.forms import Command, HealthTest
from compose.schema.objects import Object, attribute
from compose.schema.scalars import Duration, Flag, Integer, Mode, Size, Text
from compose.schema.tree import Map, Origin, Value

NAME = r"[a-zA-Z0-9._-]+"
STRING: dict[str, Plain] = {"type": "string"}
INTEGER: dict[str, Plain] = {"type": "integer"}

strings = ListOf(Text())
unique_strings = ListOf(Text(), unique=True)
string_or_list = ListOf(Text(), unique=True, single=True)
string_list = ListOf(Text(), unique=True, single=True, needed=True)


class PortNumber(Text):
    """``target`` and ``published``: digits or a number, kept as written."""

    __slots__ = ()

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        """A port, or a range of them, as text."""
        if type(value) is int:
            return str(value)
        if type(value) is not str:
            raise reading.wrong("a port number or a string", value, origin)
        return value

    def schema(self) -> dict[str, Plain]:
        """A string or a whole number."""
        return {"type": ["string", "integer"]}


def _port(entry: Map, reading: Reading) -> None:
    """``target`` is a number in the end; a published port is a text."""
    target = entry.get("target")
    if isinstance(target, str) and not reading.undecided(target):
        if not target.isdigit() or not 0 < int(target) < 2**32:
            reading.problem(f"invalid port: {target!r}", entry.where("target"), at=("target",))
            entry.drop("target")
        else:
            entry["target"] = int(target)


port = Object(
    "ports",
    (
        attribute("name", Text(), "A readable name."),
        attribute("mode", Text(), "host or ingress.", told=True),
        attribute("host_ip", Text(), "The address on the host to publish on."),
        attribute("target", PortNumber(), "The port in the container.", required=True),
        attribute("published", PortNumber(), "The port on the host: a number, or a range that a free one is taken from."),
        attribute("protocol", Text(), "tcp, udp or sctp.", told=True),
        attribute("app_protocol", Text(), "What is spoken there: http, https …"),
    ),
    finish=_port,
)


def _mount(value: Value, origin: Origin | None, reading: Reading) -> Value:
    if type(value) is not str:
        raise reading.wrong("a string or a mapping", value, origin, hint='such as "./data:/data:ro"')
    try:
        parsed = mounts.parse(value)
    except ValueError as e:
        if reading.undecided(value):
            return value
        raise reading.reject(str(e), origin, hint="the short form is [SOURCE:]TARGET[:OPTIONS]") from None
    result = Map(origin)
    result.put("type", parsed.type, origin)
    if parsed.source:
        result.put("source", parsed.source, origin)
    result.put("target", posixpath.normpath(parsed.target), origin)
    if parsed.read_only:
        result.put("read_only", True, origin)
    bind = Map(origin)
    for key, item in parsed.bind.items():
        bind.put(key, item, origin)
    if parsed.type == "bind":
        bind.put("create_host_path", True, origin)
    if bind or parsed.type == "bind":
        result.put("bind", bind, origin)
    if parsed.type == "volume" and (len(value) > 2 or parsed.nocopy):
        options = Map(origin)
        if parsed.nocopy:
            options.put("nocopy", True, origin)
        result.put("volume", options, origin)
    return result


class SubObject(Object):
    """An object that is shown even when it is empty (``volume: {}``)."""

    __slots__ = ()

    def empty(self, value: Value) -> bool:
        """Never, when it was written or made."""
        return value is None


mount = Object(
    "volumes",
    (
        attribute("type", Text(enum=("bind", "volume", "tmpfs", "cluster", "npipe", "image")), "What is mounted.", required=True),
        attribute("source", Text(), "A path on the host, the name of a volume, or an image."),
        attribute("target", Text(), "The place in the container."),
        attribute("read_only", Flag(), "Whether the container may only read."),
        attribute("consistency", Text(), "Has no effect on Linux."),
        attribute(
            "bind",
            SubObject(
                "bind",
                (
                    attribute("selinux", Text(enum=("z", "Z")), "Relabel for SELinux: z shared, Z private."),
                    attribute("propagation", Text(), "rprivate, private, rshared, shared, rslave or slave."),
                    attribute("create_host_path", Flag(), "Make the directory on the host when it is missing."),
                    attribute(
                        "recursive",
                        Text(enum=("enabled", "disabled", "writable", "readonly")),
                        "How mounts below the source are taken along.",
                    ),
                ),
            ),
            "Options of a bind mount.",
        ),
        attribute(
            "volume",
            SubObject(
                "volume",
                (
                    attribute("labels", KeyValues(), "Labels of an anonymous volume."),
                    attribute("nocopy", Flag(), "Do not fill the volume from the image."),
                    attribute("subpath", Text(), "A directory inside the volume."),
                ),
            ),
            "Options of a volume.",
        ),
        attribute(
            "tmpfs",
            SubObject(
                "tmpfs",
                (
                    attribute("size", Size(least=0), "The most it may hold."),
                    attribute("mode", Integer(text=False, cut=True), "Permissions, in octal."),
                ),
            ),
            "Options of a tmpfs.",
        ),
        attribute("image", SubObject("image", (attribute("subpath", Text(), "A path inside the image."),)), "Options of an image mount."),
    ),
    short=_mount,
    short_schemas=(STRING,),
)


def _device(value: Value, origin: Origin | None, reading: Reading) -> Value:
    if type(value) is not str:
        raise reading.wrong("a string or a mapping", value, origin, hint='such as "/dev/ttyUSB0:/dev/ttyUSB0:rwm"')
    try:
        source, target, permissions = mounts.parse_device(value)
    except ValueError as e:
        raise reading.reject(str(e), origin) from None
    result = Map(origin)
    result.put("source", source, origin)
    result.put("target", target, origin)
    result.put("permissions", permissions, origin)
    return result


device = Object(
    "devices",
    (
        attribute("source", Text(), "The device on the host, or a CDI name.", required=True),
        attribute("target", Text(), "Its path in the container.", required=True),
        attribute("permissions", Text(), "Any of r, w and m."),
    ),
    short=_device,
    short_schemas=(STRING,),
)


def _named(key: str, value: Value, origin: Origin | None, reading: Reading) -> Value:
    if type(value) is not str:
        raise reading.wrong("a string or a mapping", value, origin)
    result = Map(origin)
    result.put(key, value, origin)
    return result


def _source(value: Value, origin: Origin | None, reading: Reading) -> Value:
    return _named("source", value, origin, reading)


def _path(value: Value, origin: Origin | None, reading: Reading) -> Value:
    return _named("path", value, origin, reading)


file_use = Object(
    "configs and secrets",
    (
        attribute("source", Text(), "The name under the top-level key."),
        attribute("target", Text(), "The place in the container.", told=True),
        attribute("uid", Text(), "The owner."),
        attribute("gid", Text(), "The group."),
        attribute("mode", Mode(), "Permissions, in octal."),
    ),
    short=_source,
    short_schemas=(STRING,),
)

env_file = Object(
    "env_file",
    (
        attribute("path", Text(), "Where the file is.", required=True),
        attribute("required", Flag(), "Whether it is a mistake when the file is missing.", keep=True),
        attribute("format", Text(), "raw takes lines as they are; otherwise as .env files are read."),
    ),
    extensions=False,
    short=_path,
    short_schemas=(STRING,),
)

hook = Object(
    "hooks",
    (
        attribute("command", Command(), "What is run.", required=True, keep=True, blank=None, told=True),
        attribute("user", Text(), "As whom."),
        attribute("privileged", Flag(), "With all capabilities."),
        attribute("working_dir", Text(), "Where."),
        attribute("environment", KeyValues(nulls=True, strict=True), "Further variables."),
    ),
)

pre_start = Object(
    "pre_start",
    (
        attribute("image", Text(), "The image to run it in; the service's own when unset."),
        *hook.fields,
        attribute("per_replica", Flag(), "Once for every container of the service."),
    ),
)

healthcheck = Object(
    "healthcheck",
    (
        attribute("test", HealthTest(), "CMD, CMD-SHELL or NONE and its words, or a line for the shell."),
        attribute("timeout", Duration(), "How long one probe may take.", keep=True),
        attribute("interval", Duration(), "The time between probes.", keep=True),
        attribute("retries", Integer(least=0, cut=True), "How many failures in a row make it unhealthy.", keep=True),
        attribute("start_period", Duration(), "The time to start in which failures do not count.", keep=True),
        attribute("start_interval", Duration(), "The time between probes while starting.", keep=True),
        attribute("disable", Flag(), "Ignore the image's health check."),
    ),
)

dependency = Object(
    "depends_on",
    (
        attribute(
            "condition",
            Text(enum=("service_started", "service_healthy", "service_completed_successfully")),
            "What to wait for.",
            required=True,
        ),
        attribute("restart", Flag(), "Restart this service when the other one is restarted by Compose."),
        attribute("required", Flag(strict=True), "Whether the other service must be there.", keep=True),
    ),
)

service_network = Object(
    "networks",
    (
        attribute("aliases", unique_strings, "Further names on this network."),
        attribute("driver_opts", TextMap(), "Options of the endpoint."),
        attribute("gw_priority", Integer(text=False, cut=True), "The highest one gives the default route."),
        attribute("interface_name", Text(), "The interface's name in the container."),
        attribute("ipv4_address", Text(), "A fixed address."),
        attribute("ipv6_address", Text(), "A fixed address."),
        attribute("link_local_ips", unique_strings, "Link-local addresses."),
        attribute("mac_address", Text(), "A fixed hardware address."),
        attribute("priority", Integer(text=False, cut=True), "The highest one is connected first."),
    ),
    nullable=True,
)

service_model = Object(
    "models",
    (
        attribute("endpoint_var", Text(), "The variable that gets the address."),
        attribute("model_var", Text(), "The variable that gets the name."),
    ),
    nullable=True,
)
