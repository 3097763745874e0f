"""Laws that hold for any input: interpolation, .env files, ports, mounts, sizes, durations, words, merges, numbers, quoting."""

from __future__ import annotations

import re
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from compose import render_yaml
from compose.loader import dotenv, template
from compose.loader.document import Sources, read
from compose.loader.merge import Merge
from compose.loader.scalars import resolve
from compose.schema import mounts, numbers, ports, words
from compose.schema.order import ordered
from compose.schema.tree import Map, Seq, Value, copy

texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=40)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
keys = st.from_regex(r"[a-z]{1,4}", fullmatch=True)


@given(texts)
def test_escaped_dollars_are_literal(text: str) -> None:
    assert template.substitute(text.replace("$", "$$"), lambda _: "wrong") == text


@given(names, texts, texts)
def test_defaults(name: str, value: str, default: str) -> None:
    default = default.translate(str.maketrans("", "", "{}$"))
    unset = template.substitute(f"${{{name}:-{default}}}", lambda _: None)
    assert unset == default
    assert template.substitute(f"${{{name}-{default}}}", lambda _: value) == value
    assert template.substitute(f"${{{name}:+{default}}}", lambda _: value) == (default if value else "")


@given(texts)
def test_a_template_is_evaluated_or_refused(text: str) -> None:
    with suppress(template.InvalidTemplate, template.MissingVariable):
        assert isinstance(template.substitute(text, lambda name: name.lower()), str)


@given(names, texts)
def test_only_what_is_used_is_evaluated(name: str, value: str) -> None:
    assert template.substitute(f"${{{name}-${{OTHER?no}}}}", lambda n: value if n == name else None) == value


@given(st.dictionaries(names, texts.filter(lambda t: "\r" not in t), max_size=5))
def test_dotenv_reads_back_what_was_quoted(values: dict[str, str]) -> None:
    lines = []
    for key, value in values.items():
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        lines.append(f'{key}="{escaped}"\n')
    assert dotenv.parse("".join(lines), lambda _: None) == values


@given(texts)
def test_dotenv_reads_or_refuses_with_a_line(text: str) -> None:
    try:
        dotenv.parse(text, lambda _: None)
    except dotenv.DotenvError as e:
        assert 1 <= e.line <= text.count("\n") + text.count("\r") + 1


@given(st.integers(1, 65535), st.integers(1, 65535), st.sampled_from(["tcp", "udp", "sctp"]), st.sampled_from(["", "127.0.0.1:", "[::1]:"]))
def test_ports(host: int, container: int, protocol: str, address: str) -> None:
    assert ports.parse(f"{address}{host}:{container}/{protocol}") == [
        ports.Publication(container, str(host), address.rstrip(":").strip("[]"), protocol)
    ]


@given(st.integers(1, 65000), st.integers(0, 20), st.integers(1, 65000))
def test_port_ranges_pair_up(first: int, width: int, host: int) -> None:
    found = ports.parse(f"{host}-{host + width}:{first}-{first + width}")
    assert sorted((int(p.published), p.target) for p in found) == [(host + i, first + i) for i in range(width + 1)]


@given(texts)
def test_short_forms_are_read_or_refused(text: str) -> None:
    for parse in (ports.parse, mounts.parse, mounts.parse_device, words.split, numbers.parse_size, numbers.parse_duration):
        try:
            parse(text)
        except ValueError as e:
            assert str(e)


paths = st.from_regex(r"/[a-z]{1,5}(/[a-z]{1,5}){0,2}", fullmatch=True)


@given(paths, paths, st.sampled_from(["", ":ro", ":rw", ":z", ":ro,Z", ":rshared"]))
def test_bind_mounts(source: str, target: str, mode: str) -> None:
    mount = mounts.parse(f"{source}:{target}{mode}")
    assert (mount.type, mount.source, mount.target, mount.read_only) == ("bind", source, target, "ro" in mode)


@given(st.integers(0, 2**40), st.sampled_from(["", "b", "k", "kb", "m", "g", "gb"]))
def test_sizes(number: int, unit: str) -> None:
    factor = {"": 1, "b": 1, "k": 2**10, "m": 2**20, "g": 2**30}[unit[:1]]
    if number * factor < 2**63:
        assert numbers.parse_size(f"{number}{unit}") == number * factor == numbers.parse_size(f"{number}{unit.upper()}")


@given(st.integers(-(2**62), 2**62))
def test_durations_read_back(nanoseconds: int) -> None:
    text = numbers.duration_text(nanoseconds)
    assert numbers.parse_duration(text) == nanoseconds


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_float_text_reads_back(value: float) -> None:
    assert float(numbers.float_text(value)) == value == float(numbers.float_text(value, most=21))


@given(st.lists(texts.filter(lambda t: t != ""), max_size=5))
def test_words_read_back_what_was_quoted(parts: list[str]) -> None:
    assert words.split(" ".join('"' + p.replace("\\", "\\\\").replace('"', '\\"') + '"' for p in parts)) == parts


@given(texts)
def test_quoted_texts_read_back(text: str) -> None:
    document = render_yaml.write({"k": text, "l": [text, {"m": text}]})
    assert yaml.compose(document, yaml.CSafeLoader) is not None
    (found,) = read(document, "x.yaml", Sources())
    assert found.tree == {"k": text, "l": [text, {"m": text}]}


@given(st.text(st.sampled_from("aZ0-_.19"), max_size=6), st.text(st.sampled_from("aZ0-_.19"), max_size=6))
def test_numbers_in_keys_sort_by_value(a: str, b: str) -> None:
    assert ordered([a, b]) == ordered([b, a])
    assert ordered(["k10", "k9"]) == ["k9", "k10"]


def tree(value: object) -> Value:
    if isinstance(value, dict):
        result = Map()
        for key, item in value.items():
            result.put(key, tree(item), None)
        return result
    if isinstance(value, list):
        items = Seq()
        for item in value:
            items.add(tree(item), None)
        return items
    return value  # type: ignore[return-value]


leaves = st.one_of(st.integers(0, 9), st.booleans(), keys)
trees = st.recursive(leaves, lambda inner: st.dictionaries(keys, inner, max_size=4), max_leaves=12)
maps = st.dictionaries(keys, trees, max_size=4)


@given(maps)
def test_merging_a_tree_with_itself_changes_nothing(value: dict[str, object]) -> None:
    base, over = tree(value), tree(value)
    assert isinstance(base, Map) and isinstance(over, Map)
    assert Merge().lay(base, over) == over


@given(maps, maps)
def test_every_leaf_of_the_later_tree_wins(first: dict[str, object], second: dict[str, object]) -> None:
    base, over = tree(first), tree(second)
    assert isinstance(base, Map) and isinstance(over, Map)
    merged = Merge().lay(base, copy(over))  # type: ignore[arg-type]

    def check(want: Map, got: Value) -> None:
        assert isinstance(got, Map)
        for key, item in want.items():
            if isinstance(item, Map):
                check(item, got[key])
            else:
                assert got[key] == item

    check(over, merged)


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(1, 9)), max_size=8))
def test_ports_stay_unique(pairs: list[tuple[int, int]]) -> None:
    entries = tree({"services": {"a": {"ports": [{"target": t, "published": str(p), "protocol": "tcp"} for t, p in pairs]}}})
    assert isinstance(entries, Map)
    Merge().unique(entries)
    services = entries["services"]
    assert isinstance(services, Map)
    left = [(p["target"], p["published"]) for p in services["a"]["ports"]]  # type: ignore[index, call-overload, union-attr]
    assert len(left) == len(set(left)) == len(set(pairs))


@given(texts)
def test_plain_scalars_never_fail(text: str) -> None:
    resolve(text)


@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(data: bytes) -> None:
    from compose.errors import ComposeError
    from compose.loader import LoadOptions, load

    with TemporaryDirectory() as directory:
        path = Path(directory) / "compose.yaml"
        path.write_bytes(data)
        try:
            load(LoadOptions(files=(str(path),), environment={}))
        except ComposeError as e:
            assert re.search(r"\S", str(e))


@pytest.mark.parametrize("text", ["1e308g", "1e400", "9223372036854775808", "8589934592g"])
def test_sizes_beyond_64_bits_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="does not fit in 64 bits"):
        numbers.parse_size(text)
