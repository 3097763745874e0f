"""The phase that lays one canonical tree over another: later files over earlier ones, a service over what it extends, a file over what it includes.

Mappings merge by key, lists append, scalars are replaced, nothing keeps what was there. ``RULES`` holds the exceptions by path. Changes the first tree
in place. Runs in the command's process.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field

from compose.schema.scalars import text_of
from compose.schema.tree import Map, Origin, Seq, Value
from runtime.record import dataclass

Record = Callable[[tuple[str, ...], "Origin | None", Value], None]
Key = Callable[[Value], str]


def _text(item: Value) -> str:
    return str(item)


def _key(item: Value) -> str:
    return str(item).partition("=")[0]


def _by(*names: str, start: str | None = None) -> Key:
    def key(item: Value) -> str:
        if not isinstance(item, Map):
            return str(item)
        for name in names:
            if item.get(name):
                return str(item[name]) if name != "source" or start is None else f"{start}/{item[name]}"
        return str(id(item))

    return key


def _port(item: Value) -> str:
    if not isinstance(item, Map):
        return str(item)
    return f"{item.get('host_ip') or '0.0.0.0'}:{item.get('published', '')}:{item.get('target')}/{item.get('protocol') or 'tcp'}"  # noqa: S104


@dataclass(slots=True)
class Rule:
    """What happens at a path: ``replace`` it whole, keep list items ``unique`` by a key, let a null win (``nulls``), a function;
    ``pairs`` are ``KEY=value`` lists once two layers met, in a tree that is kept as written."""

    replace: bool = False
    nulls: bool = False
    pairs: bool = False
    unique: Key | None = None
    join: Callable[[Map, Map], bool] | None = None
    match: str = ""
    below: dict[str, Rule] = field(default_factory=dict)


def _same_driver(base: Map, over: Map) -> bool:
    """Whether ``logging`` blocks speak of the same driver."""
    return not base.get("driver") or not over.get("driver") or base["driver"] == over["driver"]


def _rules() -> Rule:
    root = Rule()
    table: dict[str, Rule] = {
        "services.*.logging": Rule(join=_same_driver),
        "services.*.ports": Rule(unique=_port),
        "services.*.volumes": Rule(unique=_by("target")),
        "services.*.devices": Rule(unique=_by("target", "source")),
        "services.*.configs": Rule(unique=_by("target", "source", start="")),
        "services.*.secrets": Rule(unique=_by("target", "source", start="/run/secrets")),
        "services.*.env_file": Rule(unique=_by("path")),
        "services.*.networks.*.aliases": Rule(unique=_text),
        "services.*.networks.*.link_local_ips": Rule(unique=_text),
        "networks.*.ipam.config": Rule(match="subnet"),
        "services.*.build.tags": Rule(unique=_text),
    }
    for name in ("command", "entrypoint", "healthcheck.test", "ulimits.*"):
        table[f"services.*.{name}"] = Rule(replace=True)
    for name in ("environment", "build.args", "annotations"):
        table[f"services.*.{name}"] = Rule(nulls=True, pairs=True, unique=_key)
    for name in ("labels", "sysctls", "build.labels", "deploy.labels"):
        table[f"services.*.{name}"] = Rule(pairs=True, unique=_key)
    table["networks.*.labels"] = Rule(pairs=True, unique=_key)
    table["volumes.*.labels"] = Rule(pairs=True)
    for name in ("extra_hosts", "build.extra_hosts"):
        table[f"services.*.{name}"] = Rule(pairs=True, unique=_text)
    for name in ("dns", "dns_opt", "dns_search", "cap_add", "cap_drop", "tmpfs", "links", "profiles", "expose"):
        table[f"services.*.{name}"] = Rule(unique=_text)
    for host in ("services.*.extra_hosts.*", "services.*.build.extra_hosts.*"):
        table[host] = Rule(unique=_text)
    for path, rule in table.items():
        node = root
        *above, last = path.split(".")
        for part in above:
            node = node.below.setdefault(part, Rule())
        rule.below = node.below[last].below if last in node.below else {}
        node.below[last] = rule
    return root


RULES = _rules()
_PLAIN = Rule()


class Merge:
    """Lays trees over each other; ``record`` hears of every value that was replaced."""

    def __init__(self, record: Record | None = None, *, as_written: bool = False) -> None:
        self.record = record
        self.as_written = as_written
        self.path: list[str] = []

    def lay(self, base: Map, over: Map, rule: Rule = RULES) -> Map:
        """Change ``base`` into what it is under ``over``."""
        for key, value in over.items():
            if key not in base:
                base.adopt(key, value, over)
                continue
            below = rule.below.get(key) or rule.below.get("*") or _PLAIN
            if value is None and not rule.nulls and not below.replace:
                continue
            self.path.append(key)
            self.put(base, key, value, over, below)
            self.path.pop()
        return base

    def service(self, base: Map, over: Map) -> Map:
        """The same for one service."""
        return self.lay(base, over, RULES.below["services"].below["*"])

    def put(self, base: Map, key: str, value: Value, over: Map, rule: Rule) -> None:
        """Lay one value over one that is there."""
        present = base[key]
        if self.as_written and not rule.replace and (rule.pairs or isinstance(present, Seq) or isinstance(value, Seq)):
            present, value = base[key], value = listed(present), listed(value)
        if rule.replace or present is None:
            self.replace(base, key, value, over)
        elif isinstance(present, Map) and isinstance(value, Map):
            if rule.join is not None and not rule.join(present, value):
                self.replace(base, key, value, over)
            else:
                self.lay(present, value, rule)
        elif isinstance(present, Seq) and isinstance(value, Seq):
            self.append(present, value, rule)
        else:
            self.replace(base, key, value, over)

    def replace(self, base: Map, key: str, value: Value, over: Map) -> None:
        """Let the later value stand alone."""
        if self.record is not None:
            self.record(tuple(self.path), base.where(key), base[key])
        base.adopt(key, value, over)

    def append(self, base: Seq, over: Seq, rule: Rule) -> None:
        """Add the later items."""
        if rule.match:
            self.matched(base, over, rule)
            return
        for item, origin in over.placed():
            base.add(item, origin)
        if rule.unique is not None:
            self.squash(base, rule.unique)

    def matched(self, base: Seq, over: Seq, rule: Rule) -> None:
        """Merge mappings that agree in one key; the others are appended."""
        known = {item.get(rule.match): item for item in base if isinstance(item, Map)}
        for item, origin in over.placed():
            same = known.get(item.get(rule.match)) if isinstance(item, Map) else None
            if isinstance(same, Map) and isinstance(item, Map):
                self.lay(same, item, _PLAIN)
            else:
                base.add(item, origin)

    def squash(self, items: Seq, key: Key) -> None:
        """Keep one item of each key: the last one, in the place of the first."""
        index: dict[str, int] = {}
        kept: list[tuple[Value, Origin | None]] = []
        for item, origin in items.placed():
            name = key(item)
            if name in index:
                old = kept[index[name]]
                if self.record is not None and old[0] != item:
                    self.record((*self.path, f"[{index[name]}]"), old[1], old[0])
                kept[index[name]] = (item, origin)
            else:
                index[name] = len(kept)
                kept.append((item, origin))
        if len(kept) != len(items):
            items[:] = [item for item, _ in kept]
            items.at = [origin for _, origin in kept]

    def unique(self, tree: Map, rule: Rule = RULES) -> None:
        """Squash the lists of one tree."""
        for key, value in tree.items():
            below = rule.below.get(key) or rule.below.get("*")
            if below is None:
                continue
            if isinstance(value, Map):
                if below.below:
                    self.path.append(key)
                    self.unique(value, below)
                    self.path.pop()
            elif isinstance(value, Seq) and below.unique is not None and len(value) > 1:
                self.path.append(key)
                self.squash(value, below.unique)
                self.path.pop()


def listed(value: Value) -> Value:
    """The list form of what may be written as a list, as a mapping or as one text."""
    if isinstance(value, Map):
        lines = [(key, each, origin) for key in value for each, origin in _each(value, key)]
        result = Seq(value.origin)
        for key, item, origin in sorted(lines, key=lambda line: (line[0], str(line[1]))):
            result.add(key if item is None else f"{key}={text_of(item)}", origin)
        return result
    if isinstance(value, str):
        result = Seq()
        result.add(value, None)
        return result
    return value


def _each(value: Map, key: str) -> list[tuple[Value, Origin | None]]:
    item = value[key]
    return list(item.placed()) if isinstance(item, Seq) else [(item, value.where(key))]


def take_out(tree: Map, paths: list[tuple[str | int, ...]]) -> None:
    """Remove what ``!reset`` and ``!override`` of a later layer point at."""
    for path in paths:
        node: Value = tree
        for part in path[:-1]:
            node = node.get(str(part)) if isinstance(node, Map) else None
        if isinstance(node, Map):
            node.drop(str(path[-1]))
