"""Tables and templates: rows of named fields as aligned columns, JSON or the user's own Go template. Pure; in the command's process."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from compose.cli.template import Template

Row = Mapping[str, object]


def aligned(rows: Iterable[Sequence[str]], *, minimum: int = 10, padding: int = 3) -> str:
    """Rows as columns, each as wide as its widest cell plus ``padding``, at least ``minimum``; the last cell is left as it is."""
    table = [list(r) for r in rows]
    if not table:
        return ""
    widths = [max([minimum, *(len(r[i]) + padding for r in table)]) for i in range(len(table[0]) - 1)]
    return "".join("".join(c.ljust(w) for c, w in zip(r, widths, strict=False)) + r[-1] + "\n" for r in table)


def as_json(value: object) -> str:
    """Compact JSON with ``<>&`` escaped, as Go writes it: a map's keys sorted, the ports of a container in the order of their fields."""
    import json

    if isinstance(value, Mapping) and "Publishers" in value:
        text = json.dumps({k: value[k] for k in sorted(value)}, separators=(",", ":"), ensure_ascii=False)
    else:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def formatted(rows: Iterable[Row], form: str, *, columns: Mapping[str, str], headers: Mapping[str, str] | None = None) -> str:
    """Rows in the form of ``--format``: ``table``, ``table TEMPLATE``, ``json`` (one object a line) or ``TEMPLATE``.

    ``columns`` maps the default table's fields to headings; ``headers`` adds the headings of further fields.
    """
    if form in ("", "table"):
        return aligned([list(columns.values()), *([str(r[c]) for c in columns] for r in rows)])
    if form == "json":
        return "".join(f"{as_json(r)}\n" for r in rows)
    text = form.removeprefix("table ").replace("\\t", "\t").replace("\\n", "\n")
    template = Template.parse(text)
    lines = [template.render(r) for r in rows]
    if not form.startswith("table "):
        return "".join(f"{line}\n" for line in lines)
    heading = template.heading({**(headers or {}), **columns})
    return aligned(_even([line.split("\t") for line in (heading, *lines)]))


def _even(rows: list[list[str]]) -> list[list[str]]:
    width = max(len(r) for r in rows)
    return [r + [""] * (width - len(r)) for r in rows]
