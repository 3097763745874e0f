"""The top of a Compose file: services, networks, volumes, configs, secrets, models, include. ``PROJECT`` is the whole table."""

from __future__ import annotations

from compose.schema.base import Plain, Reading
from compose.schema.collections import KeyValues, ListOf, MapOf, TextMap
from compose.schema.forms import External
from compose.schema.objects import Field, Object, attribute
from compose.schema.parts import NAME, STRING, string_list, strings
from compose.schema.scalars import Flag, Integer, Text
from compose.schema.service import service, services
from compose.schema.tree import Map, Origin, Value


def _include(value: Value, origin: Origin | None, reading: Reading) -> Value:
    if type(value) is not str:
        raise reading.wrong("a path or a mapping", value, origin)
    result = Map(origin)
    result.put("path", string_list.read(value, origin, reading), origin)
    return result


class Ipam(Object):
    """``ipam``; one that says nothing is as good as none."""

    __slots__ = ()

    def empty(self, value: Value) -> bool:
        """Whether none of its parts says anything."""
        return not isinstance(value, Map) or not any(value.values())


include = ListOf(
    Object(
        "include",
        (
            attribute("path", string_list, "The file, and files that override it.", required=True),
            attribute("project_directory", Text(), "What its relative paths start from."),
            attribute("env_file", string_list, "Files with the variables that it uses."),
        ),
        extensions=False,
        lenient=True,
        short=_include,
        short_schemas=(STRING,),
    )
)

_external = attribute("external", External(), "It exists already and is not managed here.")

network = Object(
    "networks",
    (
        attribute("name", Text(), "Its real name."),
        attribute("driver", Text(), "What makes it; bridge when unset."),
        attribute("driver_opts", TextMap(), "Options of the driver."),
        attribute(
            "ipam",
            Ipam(
                "ipam",
                (
                    attribute("driver", Text(), "Who gives addresses."),
                    attribute(
                        "config",
                        ListOf(
                            Object(
                                "ipam.config",
                                (
                                    attribute("subnet", Text(), "Such as 10.5.0.0/16."),
                                    attribute("gateway", Text(), "The router's address."),
                                    attribute("ip_range", Text(), "Where addresses are taken from."),
                                    attribute("aux_addresses", TextMap(numbers=False), "Addresses that are taken."),
                                ),
                            )
                        ),
                        "Subnets.",
                    ),
                    attribute("options", TextMap(numbers=False), "Options of the address driver."),
                ),
                hidden=("options",),
            ),
            "Addresses.",
            blank={},
        ),
        _external,
        attribute("internal", Flag(), "No way out."),
        attribute("attachable", Flag(), "Other containers may join."),
        attribute("labels", KeyValues(), "Labels."),
        attribute("enable_ipv4", Flag(), "Whether it has IPv4 addresses.", keep=True),
        attribute("enable_ipv6", Flag(), "Whether it has IPv6 addresses.", keep=True),
    ),
    nullable=True,
)

volume = Object(
    "volumes",
    (
        attribute("name", Text(), "Its real name."),
        attribute("driver", Text(), "What makes it; local when unset."),
        attribute("driver_opts", TextMap(), "Options of the driver."),
        _external,
        attribute("labels", KeyValues(), "Labels."),
    ),
    nullable=True,
)


def _file_object(name: str, *, content: bool) -> Object:
    middle: tuple[Field, ...] = (attribute("content", Text(), "Its text.", told=True),) if content else ()
    drivers: tuple[Field, ...] = (
        ()
        if content
        else (
            attribute("driver", Text(), "Who keeps it."),
            attribute("driver_opts", TextMap(), "Options of the driver."),
        )
    )
    return Object(
        name,
        (
            attribute("name", Text(), "Its real name."),
            attribute("file", Text(), "The file it is in."),
            attribute("environment", Text(), "The variable it is in."),
            *middle,
            attribute("external", External(lenient=True), "It exists already and is not managed here."),
            attribute("labels", KeyValues(), "Labels."),
            *drivers,
            attribute("template_driver", Text(), "Has no effect."),
        ),
    )


secret = _file_object("secrets", content=False)
config = _file_object("configs", content=True)

model = Object(
    "models",
    (
        attribute("name", Text(), "Its name."),
        attribute("model", Text(), "What it is made of.", required=True),
        attribute("context_size", Integer(text=False), "How much it can see."),
        attribute("runtime_flags", strings, "Flags of the program that runs it."),
    ),
)

PROJECT = Object(
    "a Compose file",
    (
        attribute("version", Text(), "Has no effect."),
        attribute("name", Text(), "The project's name."),
        attribute("include", include, "Other Compose files."),
        attribute("services", services, "What is run."),
        attribute("networks", MapOf(network, nulls=True), "Networks."),
        attribute("volumes", MapOf(volume, pattern=NAME, nulls=True), "Volumes."),
        attribute("secrets", MapOf(secret, pattern=NAME), "Secrets."),
        attribute("configs", MapOf(config, pattern=NAME), "Configs."),
        attribute("models", MapOf(model), "AI models."),
    ),
)

SECTIONS = ("services", "networks", "volumes", "secrets", "configs", "models")


def json_schema() -> dict[str, Plain]:
    """The JSON Schema (2020-12) of a Compose file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Compose file", **PROJECT.schema()}


__all__ = ["PROJECT", "SECTIONS", "json_schema", "service"]
