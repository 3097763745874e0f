"""Attributes with forms of their own: commands, health tests, ports, hosts, dependencies, networks, gpus, ssh, external. Runs in the command's process."""
# ruff: noqa: D102  (the methods are described by Type)

from __future__ import annotations

from compose.schema import ports, words
from compose.schema.base import Plain, Reading, Rejected, Type, one_of
from compose.schema.collections import ListOf, MapOf, refuse_twins, show_any
from compose.schema.objects import Object, attribute
from compose.schema.scalars import Flag, Text, is_scalar, text_of
from compose.schema.tree import Map, Origin, Seq, Value, copy

_STRINGS: dict[str, Plain] = {"type": "array", "items": {"type": "string"}}


class Command(Type):
    """A command: a list of words, or a string that is split into them without a shell; null takes the image's."""

    __slots__ = ("hook",)
    nullable = True

    def __init__(self, hook: bool = False) -> None:
        self.hook = hook

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if value is None:
            return None
        if type(value) is str:
            result = Seq(origin)
            if reading.undecided(value):
                result.add(value, origin)
                return result
            try:
                for word in words.split(value):
                    result.add(word, origin)
            except ValueError as e:
                raise reading.reject(str(e), origin, hint="a list of words needs no quoting") from None
            return result
        if type(value) is not Seq:
            raise reading.wrong("a string or a list of strings", value, origin)
        return ListOf(Text()).read(value, origin, reading)

    def show(self, value: Value, json: bool) -> Plain:
        return show_any(value, json)

    def empty(self, value: Value) -> bool:
        return value is None

    def schema(self) -> dict[str, Plain]:
        return one_of({"type": "null"}, {"type": "string"}, _STRINGS)


class HealthTest(Type):
    """``healthcheck.test``: a string is run by the shell of the container."""

    __slots__ = ()

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is str:
            result = Seq(origin)
            result.add("CMD-SHELL", origin)
            result.add(value, origin)
            return result
        if type(value) is not Seq:
            raise reading.wrong("a string or a list of strings", value, origin)
        return ListOf(Text()).read(value, origin, reading)

    def show(self, value: Value, json: bool) -> Plain:
        return show_any(value, json)

    def schema(self) -> dict[str, Plain]:
        return one_of({"type": "string"}, _STRINGS)


class Ports(Type):
    """``ports``: short forms may stand for several entries."""

    needed = True
    __slots__ = ("entry",)

    def __init__(self, entry: Object) -> None:
        self.entry = entry

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is not Seq:
            raise reading.wrong("a list", value, origin, hint=f'write "- {text_of(value)}"' if is_scalar(value) else None)
        result = Seq(origin)
        for index, item in enumerate(value):
            where = value.where(index)
            reading.path.append(index)
            try:
                if type(item) is Map:
                    result.add(self.entry.read(item, where, reading), where)
                else:
                    self._short(item, where, reading, result)
            except Rejected:
                pass
            finally:
                reading.path.pop()
        undecided = reading.as_written and any(map(reading.undecided, value))
        return copy(value) if undecided else result

    def _short(self, item: Value, where: Origin | None, reading: Reading, result: Seq) -> None:
        if isinstance(item, float) or not is_scalar(item) or isinstance(item, bool):
            raise reading.wrong("a string, a whole number or a mapping", item, where, hint='such as "8080:80"')
        text = text_of(item)
        if reading.undecided(item):
            result.add(text, where)
            return
        try:
            parsed = ports.parse(text)
        except ValueError as e:
            raise reading.reject(
                str(e), where, hint='the short form is [[IP:]HOST:]CONTAINER[/PROTOCOL], such as "127.0.0.1:8080:80/tcp"'
            ) from None
        for port in parsed:
            entry = Map(where)
            entry.put("mode", "ingress", where)
            if port.host_ip:
                entry.put("host_ip", port.host_ip, where)
            entry.put("target", port.target, where)
            if port.published:
                entry.put("published", port.published, where)
            entry.put("protocol", port.protocol, where)
            result.add(entry, where)

    def check(self, value: Value, origin: Origin | None, reading: Reading) -> None:
        ListOf(self.entry).check(value, origin, reading)

    def show(self, value: Value, json: bool) -> Plain:
        return [self.entry.show(v, json) for v in value] if isinstance(value, Seq) else show_any(value, json)

    def schema(self) -> dict[str, Plain]:
        return {"type": "array", "items": one_of({"type": "number"}, {"type": "string"}, self.entry.schema())}


class Hosts(Type):
    """``extra_hosts``: ``host=ip`` or ``host:ip`` in a list, or a mapping; kept as host → list of addresses."""

    __slots__ = ()

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        result = Map(origin)
        if type(value) is Map:
            for key, item in value.items():
                where = value.where(key)
                addresses = list(item) if type(item) is Seq else [item]
                for address in addresses:
                    if type(address) is not str:
                        reading.path.append(key)
                        reading.wrong("a string or a list of strings", address, where)
                        reading.path.pop()
                        continue
                    _add_host(result, key, address, where)
            return result
        if type(value) is not Seq:
            raise reading.wrong("a mapping or a list of host=address", value, origin)
        refuse_twins(value, reading)
        for index, item in enumerate(value):
            where = value.where(index)
            if type(item) is not str:
                reading.path.append(index)
                reading.wrong("a string host=address", item, where)
                reading.path.pop()
                continue
            host, separator, address = item.partition("=")
            if not separator:
                host, separator, address = item.partition(":")
            if (not separator or not host) and not reading.undecided(item):
                reading.problem(f"invalid additional host, missing IP: {item}", where, hint='such as "db=10.0.0.5"', at=(index,))
                continue
            _add_host(result, host, address, where)
        return result

    def show(self, value: Value, json: bool) -> Plain:
        if not isinstance(value, Map):
            return show_any(value, json)
        lines: list[Plain] = []
        for host in sorted(value):
            addresses = value[host]
            lines += [f"{host}={address}" for address in sorted(map(str, addresses))] if isinstance(addresses, Seq) else []
        return lines

    def schema(self) -> dict[str, Plain]:
        return one_of(
            {"type": "object", "additionalProperties": one_of({"type": "string"}, _STRINGS)},
            {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        )


def _add_host(result: Map, host: str, address: str, where: Origin | None) -> None:
    addresses = result.get(host)
    if not isinstance(addresses, Seq):
        addresses = Seq(where)
        result.put(host, addresses, where)
    if address.startswith("[") and address.endswith("]"):
        address = address[1:-1]
    if address not in addresses:
        addresses.add(address, where)


class NamesOr(Type):
    """A list of names, or a mapping with options: ``depends_on``, ``networks``, ``models``. A bare name gets ``default``."""

    needed = True
    __slots__ = ("default", "mapping")

    def __init__(self, mapping: MapOf, default: tuple[tuple[str, Value], ...] = ()) -> None:
        self.mapping = mapping
        self.default = default

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is Map:
            return self.mapping.read(value, origin, reading)
        if type(value) is not Seq:
            raise reading.wrong("a list of names or a mapping", value, origin)
        result = Map(value.origin)
        names = ListOf(Text(), unique=True).read(value, origin, reading)
        if not isinstance(names, Seq):
            return result
        refuse_twins(names, reading)
        for name, where in names.placed():
            options: Value = None
            if self.default:
                options = Map(where)
                for key, item in self.default:
                    options.put(key, item, where)
            result.put(str(name), options, where)
        return result

    def check(self, value: Value, origin: Origin | None, reading: Reading) -> None:
        self.mapping.check(value, origin, reading)

    def show(self, value: Value, json: bool) -> Plain:
        return self.mapping.show(value, json)

    def schema(self) -> dict[str, Plain]:
        return one_of({**_STRINGS, "uniqueItems": True}, self.mapping.schema())


class Gpus(Type):
    """``gpus``: ``all``, or a list of device requests."""

    needed = True
    __slots__ = ("requests",)

    def __init__(self, requests: ListOf) -> None:
        self.requests = requests

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if value == "all":
            result, request = Seq(origin), Map(origin)
            request.put("count", "all" if reading.as_written else -1, origin)
            result.add(request, origin)
            return result
        if type(value) is not Seq:
            raise reading.wrong("'all' or a list", value, origin)
        return self.requests.read(value, origin, reading)

    def check(self, value: Value, origin: Origin | None, reading: Reading) -> None:
        self.requests.check(value, origin, reading)

    def show(self, value: Value, json: bool) -> Plain:
        return self.requests.show(value, json)

    def schema(self) -> dict[str, Plain]:
        return one_of({"enum": ["all"]}, self.requests.schema())


class External(Type):
    """``external``: a boolean, or the legacy ``{name: …}``, kept as a mapping until the resource takes the name."""

    needed = True
    __slots__ = ("lenient",)

    def __init__(self, lenient: bool = False) -> None:
        self.lenient = lenient

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is Map:
            return Object("external", (attribute("name", Text()),), lenient=self.lenient).read(value, origin, reading)
        return Flag().read(value, origin, reading)

    def schema(self) -> dict[str, Plain]:
        return one_of(
            {"type": ["boolean", "string"]},
            {"type": "object", "properties": {"name": {"type": "string"}}, "additionalProperties": self.lenient},
        )


class Options(Type):
    """``provider.options``: each one text or a list of them."""

    __slots__ = ()

    def read(self, value: Value, origin: Origin | None, reading: Reading) -> Value:
        if type(value) is not Map:
            raise reading.wrong("a mapping", value, origin)
        result = Map(value.origin)
        for key, item in value.items():
            values = Seq(value.where(key))
            for one in item if type(item) is Seq else (item,):
                if not is_scalar(one):
                    reading.path.append(key)
                    reading.wrong("a string, number or boolean, or a list of them", one, value.where(key))
                    reading.path.pop()
                    continue
                values.add(text_of(one), values.origin)
            result.adopt(key, values, value)
        return result

    def show(self, value: Value, json: bool) -> Plain:
        return show_any(value, json)

    def schema(self) -> dict[str, Plain]:
        one: dict[str, Plain] = {"type": ["string", "number", "boolean"]}
        return {"type": "object", "additionalProperties": one_of(one, {"type": "array", "items": one})}
