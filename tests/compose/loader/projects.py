"""Whole projects for property tests: documents drawn from the loader's own tables, with references that mostly lead somewhere."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import strategies as st

from compose.schema import collections, deploy, forms, limits, objects, parts, scalars
from compose.schema.base import Type
from compose.schema.project import PROJECT
from compose.schema.service import EnvFiles
from compose.schema.service import service as service_table

Document = st.SearchStrategy[object]
NAMES = ("a", "b", "web-1", "n", "y", "10")
LEFT_OUT = frozenset(("extends", "include", "version", "name", "label_file", "env_file", "provider", "services", "external", "pattern"))
WORDS = st.sampled_from(  # each is read as something else unless it is quoted well
    ["x", "no", "1", "1.0", "a b", "a: b", "#c", "é", "$$", "$${A}", "a$$b", "'q'", '"', "\\", "l1\nl2", " lead", "1:2", "~", "0x1F", "- x"]
)
EMPTY = st.just("")
PATHS = st.sampled_from(["/a", "/a/b", "/v/w", "/x"])


class Drawing:
    """Strategies by type; ``empties`` also draws empty texts, zeros and dollars in keys, for which only YAML has a form."""

    def __init__(self, *, empties: bool, without: frozenset[str] = frozenset()) -> None:
        self.words: st.SearchStrategy[str] = WORDS | EMPTY if empties else WORDS
        self.numbers = st.integers(0 if empties else 1, 100)
        self.keys = st.sampled_from(["K", "a.b", "y", "k$k", "1"] if empties else ["K", "a.b", "y", "1"])
        self.without = LEFT_OUT | without

    def of(self, kind: Type) -> Document:
        """What may be written for an attribute of this kind."""
        for known, make in MAKERS:
            if isinstance(kind, known):
                return make(self, kind)
        raise TypeError(f"no strategy for {type(kind).__name__}")

    def object(self, table: objects.Object, **fixed: Document) -> Document:
        """Required attributes and some of the others."""
        known = {f.key: f for f in table.fields if f.key not in self.without or f.key in fixed}
        drawn = {key: fixed[key] if key in fixed else self.of(f.type) for key, f in known.items()}
        return _some(drawn, [key for key, f in known.items() if f.required])


@st.composite
def _some(draw: st.DrawFn, drawn: dict[str, Document], needed: list[str]) -> object:
    """A mapping with all that is needed and a handful of the rest."""
    rest = sorted(set(drawn) - set(needed))
    chosen = draw(st.lists(st.sampled_from(rest), max_size=6, unique=True)) if rest else []
    return {key: draw(drawn[key]) for key in (*needed, *chosen)}


def text(self: Drawing, kind: scalars.Text) -> Document:
    if kind.enum:
        return st.sampled_from(kind.enum)
    if kind.pattern:
        return st.sampled_from(["always", "build"] if "always" in kind.pattern else ["c-1", "c-2"])
    return self.words | st.integers(0, 9) if kind.numbers else self.words


def pairs(self: Drawing, kind: collections.KeyValues) -> Document:
    values = self.words | self.numbers | st.booleans() | st.none()
    lines = st.builds(lambda key, value: f"{key}={value}", self.keys, self.words) | self.keys
    return st.dictionaries(self.keys, values, max_size=3) | st.lists(lines.filter(lambda line: "k$k" not in line), max_size=3, unique=True)


def ports(self: Drawing, kind: forms.Ports) -> Document:
    short = st.sampled_from(["80", "8080:80", "127.0.0.1:1-3:1-3/udp", "9000-9002:90", "[::1]:5:5", "127.0.0.1::7"])
    return st.lists(
        st.integers(1, 9) | short | self.object(kind.entry, target=st.integers(1, 9), published=st.sampled_from(["80", "1-3"])), max_size=3
    )


def hosts(self: Drawing, kind: forms.Hosts) -> Document:
    lines = st.sampled_from(["b=1.1.1.1", "a:2.2.2.2", "a=::1", "h=host-gateway", "a=[::2]"])
    return st.lists(lines, max_size=3, unique=True) | st.just({"z": "9.9.9.9", "a": ["1.1.1.1", "0.0.0.0"]})


def names_or(self: Drawing, kind: forms.NamesOr) -> Document:
    return st.lists(st.sampled_from(NAMES), max_size=2, unique=True) | self.of(kind.mapping)


def map_of(self: Drawing, kind: collections.MapOf) -> Document:
    item = self.of(kind.item) | st.none() if kind.nulls else self.of(kind.item)
    return st.dictionaries(st.sampled_from(NAMES), item, max_size=2)


def list_of(self: Drawing, kind: collections.ListOf) -> Document:
    return st.lists(self.of(kind.item), max_size=3, unique_by=repr)


def any_object(self: Drawing, kind: objects.Object) -> Document:
    if kind is parts.mount:
        return mount(self)
    if kind is parts.device:
        return st.sampled_from(["/dev/null", "/dev/null:/dev/x", "/dev/null:/dev/x:r"])
    if kind is parts.file_use:
        return st.just("a") | self.object(kind, source=st.just("a"))
    if isinstance(kind, limits.Ulimit):
        return st.integers(0, 9) | st.fixed_dictionaries({"soft": self.numbers, "hard": self.numbers})
    return self.object(kind)


def mount(self: Drawing) -> Document:
    short = st.sampled_from(["/anon", "n:/d", "./rel:/r:ro", "/abs:/q:rshared,Z", "n:/e:nocopy", "~/h:/h"])
    fixed = {"type": st.sampled_from(["bind", "volume", "tmpfs"]), "source": st.just("n"), "target": PATHS}
    return short | self.object(parts.mount, **fixed)


def command(self: Drawing, kind: forms.Command) -> Document:
    return st.none() | st.sampled_from(["", "a 'b c' $$D", "echo"]) | st.lists(self.words, max_size=3)


def fixed(*values: object) -> Callable[[Drawing, Type], Document]:
    return lambda self, kind: st.sampled_from(values)


MAKERS: tuple[tuple[type[Type], Callable[..., Document]], ...] = (
    (EnvFiles, fixed([])),
    (deploy.Ssh, fixed(["default"], {"default": None})),
    (limits.Count, lambda self, kind: self.numbers | st.just("all")),
    (parts.PortNumber, lambda self, kind: st.integers(1, 9)),
    (scalars.Text, text),
    (scalars.FlagText, fixed(True, "mode=max")),
    (scalars.Flag, lambda self, kind: st.booleans()),
    (scalars.Integer, lambda self, kind: self.numbers),
    (scalars.Decimal, lambda self, kind: self.numbers | st.just(0.5)),
    (
        scalars.Size,
        lambda self, kind: st.sampled_from(["10m", "1.5g", "7"]) if kind.only_text else self.numbers | st.sampled_from(["10m", "1k"]),
    ),
    (scalars.Duration, fixed("1m30s", "10ms", "1w")),
    (scalars.Mode, fixed(0o440, "0755")),
    (collections.KeyValues, pairs),
    (collections.TextMap, lambda self, kind: st.dictionaries(self.keys, self.words, max_size=2)),
    (forms.Command, command),
    (forms.HealthTest, lambda self, kind: self.words | st.lists(self.words, max_size=2).map(lambda words: ["CMD", *words])),
    (forms.Ports, ports),
    (forms.Hosts, hosts),
    (forms.NamesOr, names_or),
    (forms.Gpus, lambda self, kind: st.just("all") | self.of(kind.requests)),
    (forms.External, fixed(False)),
    (collections.MapOf, map_of),
    (collections.ListOf, list_of),
    (objects.Object, any_object),
)


def projects(*, empties: bool = True, without: frozenset[str] = frozenset()) -> st.SearchStrategy[dict[str, object]]:
    """Documents of one to three services; most of them load."""
    drawing = Drawing(empties=empties, without=without)
    references = {"networks": st.sampled_from([["n"], {"n": None}, {"default": {"priority": 1}}])}
    optional = {"condition": "service_healthy", "required": False}
    depends = st.sampled_from([{}, *({name: optional} for name in NAMES)])
    nothing: Document = st.just([])
    one = drawing.object(service_table, depends_on=depends, links=nothing, volumes_from=nothing, **references)
    imaged = one.map(lambda item: {"image": "x", **item} if isinstance(item, dict) else item)
    resources = {key: drawing.of(PROJECT.by_name[key].type) for key in ("networks", "volumes", "models")}
    files = {key: st.just({"a": {"file": "./f"}}) for key in ("secrets", "configs")}
    return st.fixed_dictionaries(
        {"name": st.just("p"), "services": st.dictionaries(st.sampled_from(NAMES), imaged, min_size=1, max_size=3), **files},
        optional={**resources, "x-top": st.dictionaries(drawing.keys, drawing.words | drawing.numbers, max_size=2)},
    )
