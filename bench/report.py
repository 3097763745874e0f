"""The table that every benchmark prints: our medians, the reference's, their ratio, and whether it is within its budget."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

Figures = Mapping[str, Sequence[float]]


def table(sides: Sequence[Figures], budgets: Mapping[str, tuple[float, float | None]]) -> str:
    """``sides``: our figures and, where there is a reference, its own; ``budgets``: the highest ratio by figure, and the one aimed at."""
    rows = [f"{'':34}{'ours':>10}{'reference':>12}{'ratio':>8}{'at most':>9}{'aim':>6}"]
    for figure, (limit, aim) in budgets.items():
        medians = [statistics.median(side[figure]) for side in sides]
        row = f"{figure:34}{medians[0]:10.3f}"
        if len(medians) > 1:
            ratio = medians[0] / medians[1]
            verdict = "aim met" if aim is not None and ratio <= aim else "met" if ratio <= limit else "NOT MET"
            row += f"{medians[1]:12.3f}{ratio:8.3f}{limit:9.2f}{'' if aim is None else format(aim, '.2f'):>6}  {verdict}"
        rows.append(row)
    return "\n".join(rows)
