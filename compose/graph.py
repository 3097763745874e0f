"""What depends on what: order, selection, cycles, critical paths, and the graph as text. Pure; in the command line's process.

Ordering uses the standard library's graphlib (1 ms); networkx (200 ms to import) is loaded only where a real graph question is asked:
naming a cycle, weighing paths when slots are short, exporting. This is the only module that imports it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from compose.errors import PlanError
from compose.model import Dependency, Project, Service

if TYPE_CHECKING:
    from compose.plan import Step

_SHARED = "service:"


def dependencies(service: Service) -> dict[str, Dependency]:
    """Everything ``service`` needs first: ``depends_on``, and what links, volumes_from and shared namespaces imply (compose-spec, 05-services)."""
    found = dict(service.depends_on)
    for name in (*_linked(service), *_namespaces(service)):
        found.setdefault(name, Dependency(service=name, restart=True))
    for name in _volume_donors(service):
        found.setdefault(name, Dependency(service=name))
    return found


def donors(service: Service) -> tuple[str, ...]:
    """Services whose containers this one is tied to: replaced together, because it names them by id."""
    return tuple(dict.fromkeys((*_namespaces(service), *_volume_donors(service))))


def build_dependencies(service: Service) -> tuple[str, ...]:
    """Services whose images are contexts of this one's build (``additional_contexts: {x: service:y}``)."""
    contexts = service.build.additional_contexts.values() if service.build else ()
    return tuple(c.removeprefix(_SHARED) for c in contexts if c.startswith(_SHARED))


def order(project: Project, names: Iterable[str] | None = None) -> tuple[str, ...]:
    """Service names, dependencies first, otherwise by name. Raises PlanError with the chain when there is a cycle."""
    wanted = sorted(project.services if names is None else names)
    known = set(wanted)
    edges = {n: sorted(known.intersection(dependencies(project.services[n]))) for n in wanted}
    return _sorted(edges)


def build_order(project: Project, names: Iterable[str]) -> tuple[str, ...]:
    """Service names, those whose images others are built from first. Raises PlanError when there is a cycle."""
    wanted = sorted(names)
    return _sorted({n: sorted({*build_dependencies(project.services[n])} & {*wanted}) for n in wanted})


def closure(project: Project, names: Iterable[str]) -> frozenset[str]:
    """``names`` and everything they need, directly or not; optional dependencies that are not enabled are left out."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        waiting.extend(d for d in dependencies(project.services[name]) if d in project.services)
    return frozenset(found)


def dependents(project: Project, names: Iterable[str]) -> frozenset[str]:
    """Everything that needs one of ``names``, directly or not, without ``names`` themselves."""
    needed_by: dict[str, list[str]] = {}
    for service in project.services.values():
        for dependency in dependencies(service):
            needed_by.setdefault(dependency, []).append(service.name)
    start = set(names)
    found: set[str] = set()
    waiting = [d for n in start for d in needed_by.get(n, ())]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(needed_by.get(name, ()))
    return frozenset(found - start)


def require(project: Project, names: Iterable[str]) -> None:
    """Raise PlanError for a name that is no service of the project, enabled or not."""
    for name in names:
        if name not in project.services and name not in project.disabled_services:
            raise PlanError(f"no such service: {name}", hint=_nearest(name, project))


def enable(project: Project, names: Sequence[str]) -> Project:
    """The project with ``names`` enabled, and with them every service of their profiles, as naming a service on the command line does."""
    require(project, names)
    targets = [project.disabled_services[n] for n in names if n in project.disabled_services]
    if not targets:
        return project
    profiles = {p for t in targets for p in t.profiles}
    woken = {n: s for n, s in project.disabled_services.items() if n in names or profiles.intersection(s.profiles)}
    return replace(
        project,
        services={**project.services, **woken},
        disabled_services={n: s for n, s in project.disabled_services.items() if n not in woken},
    )


def check(project: Project) -> None:
    """Raise PlanError for a dependency on a service that is not there or not enabled, and for a cycle."""
    for name in project.services:
        check_service(project, name)
    order(project)


def check_service(project: Project, name: str) -> None:
    """Raise PlanError when something ``name`` requires is not there or not enabled."""
    service = project.services[name]
    for dependency in dependencies(service).values():
        _check_dependency(project, service, dependency)


def urgency(steps: Sequence[Step]) -> dict[str, int]:
    """For every step the number of steps on the longest way from it to the end; who has most goes first when slots are short."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(s.id for s in steps)
    graph.add_edges_from((before, s.id) for s in steps for before in (*s.after, *s.after_any))
    weights: dict[str, int] = {}
    for node in reversed(list(nx.topological_sort(graph))):
        weights[node] = 1 + max((weights[n] for n in graph.successors(node)), default=0)
    return weights


def critical_path(steps: Sequence[Step]) -> tuple[str, ...]:
    """The longest chain of steps, first to last."""
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(s.id for s in steps)
    graph.add_edges_from((before, s.id) for s in steps for before in (*s.after, *s.after_any))
    return tuple(nx.dag_longest_path(graph))


def as_text(project: Project) -> str:
    """The dependency graph as an indented tree per service that nothing depends on."""
    needed = {d for s in project.services.values() for d in dependencies(s)}
    lines: list[str] = []
    for name in sorted(n for n in project.services if n not in needed):
        _branch(project, name, "", "", lines)
    return "\n".join(lines)


def as_dot(project: Project) -> str:
    """The dependency graph in Graphviz' language (an arrow points at what is needed)."""
    arrows = [f'  "{a}" -> "{b}" [label="{_label(d)}"];' for a, b, d in _arrows(project)]
    nodes = [f'  "{n}";' for n in sorted(project.services)]
    return "\n".join([f'digraph "{project.name}" {{', "  rankdir=LR;", "  node [shape=box];", *nodes, *arrows, "}"])


def as_mermaid(project: Project) -> str:
    """The dependency graph in Mermaid's language."""
    ids = {name: f"s{i}" for i, name in enumerate(sorted({*project.services, *(b for _, b, _ in _arrows(project))}))}
    nodes = [f'  {i}["{name}"]' for name, i in ids.items()]
    arrows = [f"  {ids[a]} -->|{_label(d)}| {ids[b]}" for a, b, d in _arrows(project)]
    return "\n".join(["graph LR", *nodes, *arrows])


def _linked(service: Service) -> list[str]:
    return [link.partition(":")[0] for link in service.links]


def _namespaces(service: Service) -> list[str]:
    modes = (service.network_mode, service.ipc, service.pid, service.uts)
    return [m.removeprefix(_SHARED) for m in modes if m.startswith(_SHARED)]


def _volume_donors(service: Service) -> list[str]:
    return [v.partition(":")[0] for v in service.volumes_from if not v.startswith("container:")]


def _sorted(edges: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    try:
        return tuple(TopologicalSorter(edges).static_order())
    except CycleError:
        raise PlanError(_cycle_message(edges), hint="take one of these dependencies away") from None


def _cycle_message(edges: Mapping[str, Sequence[str]]) -> str:
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph((a, b) for a, targets in edges.items() for b in targets)
    chain = [a for a, _ in nx.find_cycle(graph, sorted(graph))]
    first = chain.index(min(chain))
    rotated = [*chain[first:], *chain[:first]]
    return f"dependency cycle detected: {' -> '.join([*rotated, rotated[0]])}"


def _check_dependency(project: Project, service: Service, dependency: Dependency) -> None:
    name = dependency.service
    if name in project.services or not dependency.required:
        return
    disabled = project.disabled_services.get(name)
    if disabled is None:
        raise PlanError(f'service "{service.name}" depends on undefined service "{name}"', hint=_nearest(name, project))
    raise PlanError(
        f"service {name} is required by {service.name} but is disabled. Can be enabled by profiles [{' '.join(disabled.profiles)}]",
        hint=f"--profile {disabled.profiles[0]}" if disabled.profiles else None,
    )


def _nearest(name: str, project: Project) -> str | None:
    from difflib import get_close_matches

    close = get_close_matches(name, [*project.services, *project.disabled_services], 1)
    return f'did you mean "{close[0]}"?' if close else None


def _arrows(project: Project) -> list[tuple[str, str, Dependency]]:
    return [(n, d, e) for n in sorted(project.services) for d, e in sorted(dependencies(project.services[n]).items())]


def _label(dependency: Dependency) -> str:
    words = [dependency.condition.removeprefix("service_").replace("_", " ")]
    words += ["restart"] if dependency.restart else []
    words += [] if dependency.required else ["optional"]
    return ", ".join(words)


def _branch(project: Project, name: str, lead: str, indent: str, lines: list[str], dependency: Dependency | None = None) -> None:
    lines.append(f"{lead}{name}" + (f"  ({_label(dependency)})" if dependency else ""))
    service = project.services.get(name)
    below = sorted(dependencies(service).items()) if service else []
    for index, (child, edge) in enumerate(below):
        last = index == len(below) - 1
        _branch(project, child, f"{indent}{'└─ ' if last else '├─ '}", f"{indent}{'   ' if last else '│  '}", lines, edge)
