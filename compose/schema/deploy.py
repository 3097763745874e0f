"""``deploy``, ``develop`` and ``build``. Tables, in the order in which ``config`` prints them."""

from __future__ import annotations

from compose.schema.base import Plain, Reading
from compose.schema.collections import KeyValues, ListOf
from compose.schema.forms import Hosts
from compose.schema.limits import device_request, ulimits
from compose.schema.objects import Object, attribute
from compose.schema.parts import STRING, file_use, hook, string_list, string_or_list, strings
from compose.schema.scalars import Decimal, Duration, Flag, FlagText, Integer, Size, Text
from compose.schema.tree import Map, Origin, Seq, Value

_change = (
    attribute("parallelism", Integer(), "How many at a time.", keep=True),
    attribute("delay", Duration(), "The pause between two."),
    attribute("failure_action", Text(), "What to do when one fails."),
    attribute("monitor", Duration(), "How long to watch a new one."),
    attribute("max_failure_ratio", Decimal(), "How many may fail."),
    attribute("order", Text(enum=("start-first", "stop-first")), "Which comes first."),
)

_generic = ListOf(
    Object(
        "generic_resources",
        (
            attribute(
                "discrete_resource_spec",
                Object(
                    "discrete_resource_spec",
                    (
                        attribute("kind", Text(), "What it is.", keep=True, blank=""),
                        attribute("value", Integer(cut=True), "How many.", keep=True),
                    ),
                ),
                "A countable resource.",
            ),
        ),
    )
)


class Struct(Object):
    """An object that JSON shows empty when it is not there."""

    __slots__ = ()


deploy = Object(
    "deploy",
    (
        attribute("mode", Text(), "replicated or global; one machine replicates."),
        attribute("replicas", Integer(least=0), "How many containers.", keep=True),
        attribute("labels", KeyValues(), "Labels of the service, not of its containers."),
        attribute("update_config", Object("update_config", _change), "How a cluster updates."),
        attribute("rollback_config", Object("rollback_config", _change), "How a cluster goes back."),
        attribute(
            "resources",
            Object(
                "resources",
                (
                    attribute(
                        "limits",
                        Object(
                            "limits",
                            (
                                attribute("cpus", Decimal(), "Cores, such as 0.5."),
                                attribute("memory", Size(only_text=True), "Bytes, such as 64m."),
                                attribute("pids", Integer(), "Processes."),
                            ),
                        ),
                        "What it may have at most.",
                        keep=True,
                    ),
                    attribute(
                        "reservations",
                        Object(
                            "reservations",
                            (
                                attribute("cpus", Decimal(), "Cores."),
                                attribute("memory", Size(only_text=True), "Bytes, such as 64m."),
                                attribute("devices", ListOf(device_request), "Devices."),
                                attribute("generic_resources", _generic, "What a cluster counts."),
                            ),
                        ),
                        "What it shall have at least.",
                        keep=True,
                    ),
                ),
            ),
            "Limits and reservations.",
            blank={},
        ),
        attribute(
            "restart_policy",
            Object(
                "restart_policy",
                (
                    attribute("condition", Text(), "none, on-failure or any."),
                    attribute("delay", Duration(), "The pause before it.", keep=True),
                    attribute("max_attempts", Integer(), "How often.", keep=True),
                    attribute("window", Duration(), "How long a start takes.", keep=True),
                ),
            ),
            "When it is started again.",
            keep=True,
        ),
        attribute(
            "placement",
            Object(
                "placement",
                (
                    attribute("constraints", strings, "On which machines."),
                    attribute(
                        "preferences",
                        ListOf(Object("preferences", (attribute("spread", Text(), "A label to spread over."),))),
                        "Where rather.",
                    ),
                    attribute("max_replicas_per_node", Integer(), "How many on one machine."),
                ),
            ),
            "Where a cluster puts it.",
            blank={},
        ),
        attribute("endpoint_mode", Text(), "vip or dnsrr."),
    ),
    nullable=True,
)

watch = Object(
    "watch",
    (
        attribute("path", Text(), "What is watched.", required=True),
        attribute(
            "action", Text(enum=("rebuild", "sync", "restart", "sync+restart", "sync+exec")), "What is done on a change.", required=True
        ),
        attribute("target", Text(), "Where in the container it goes."),
        attribute("exec", hook, "What is run after it.", blank={"command": None}),
        attribute("include", string_list, "Patterns that count."),
        attribute("ignore", string_list, "Patterns that do not."),
        attribute("initial_sync", Flag(), "Bring everything up to date first."),
    ),
)

develop = Object("develop", (attribute("watch", ListOf(watch), "What to do when files change."),), nullable=True)


def _context(value: Value, origin: Origin | None, reading: Reading) -> Value:
    if type(value) is not str:
        raise reading.wrong("a string or a mapping", value, origin, hint="the directory with the Dockerfile")
    result = Map(origin)
    result.put("context", value, origin)
    return result


class Ssh(KeyValues):
    """``build.ssh``: ``default`` or ``id=path``."""

    __slots__ = ()

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        """Keys by id; a bare id has no path."""
        return KeyValues.read(self, value, origin, reading)

    def show(self, value: Value, json: bool) -> Plain:
        """The list form."""
        if not isinstance(value, Map):
            return []
        return [f"{key}={value[key]}" if value[key] else key for key in sorted(value)]


build = Object(
    "build",
    (
        attribute("context", Text(), "The directory or address to build from.", told=True),
        attribute("dockerfile", Text(), "The file that says how, in the context.", told=True),
        attribute("dockerfile_inline", Text(), "Its text, instead of a file."),
        attribute("entitlements", strings, "Privileges for the build."),
        attribute("args", KeyValues(nulls=True, strict=True), "Build arguments."),
        attribute("provenance", FlagText(needed=True), "Attest where it comes from."),
        attribute("sbom", FlagText(), "Attest what is in it."),
        attribute("ssh", Ssh(nulls=True, needed=True), "SSH agents and keys for the build."),
        attribute("labels", KeyValues(), "Labels of the image."),
        attribute("cache_from", strings, "Where to look for cached layers."),
        attribute("cache_to", strings, "Where to put them."),
        attribute("no_cache", Flag(), "Build everything again."),
        attribute("no_cache_filter", string_or_list, "Stages to build again."),
        attribute("additional_contexts", KeyValues(needed=True), "Further directories, images or services by name."),
        attribute("pull", Flag(), "Look for newer base images."),
        attribute("extra_hosts", Hosts(), "Names and addresses for the build."),
        attribute("isolation", Text(), "Windows only."),
        attribute("network", Text(), "The network for the build: none, host or a name."),
        attribute("target", Text(), "The stage to stop at."),
        attribute("secrets", ListOf(file_use), "Secrets for the build."),
        attribute("shm_size", Size(), "The size of /dev/shm."),
        attribute("tags", strings, "Further names of the image."),
        attribute("ulimits", ulimits, "Limits of the build's processes."),
        attribute("platforms", strings, "What to build for."),
        attribute("privileged", Flag(), "With all capabilities."),
    ),
    short=_context,
    short_schemas=(STRING,),
)

__all__ = ["Seq", "build", "deploy", "develop"]
