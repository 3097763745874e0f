from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from compose import graph
from compose.errors import PlanError
from compose.model import Build, Dependency
from compose.plan import Barrier, Step
from tests.fakes import project, service


def test_everything_that_implies_a_dependency_orders_services() -> None:
    of = project(
        service("web", depends_on=["db"], links=("cache:c",), volumes_from=("files:ro", "container:other")),
        service("db"),
        service("cache"),
        service("files", network_mode="service:net", ipc="service:ipc", pid="service:pid", uts="service:uts"),
        *(service(n) for n in ("net", "ipc", "pid", "uts")),
    )
    order = graph.order(of)
    assert set(graph.dependencies(of.services["web"])) == {"db", "cache", "files"}
    assert order.index("web") > max(order.index(n) for n in ("db", "cache", "files"))
    assert order.index("files") > max(order.index(n) for n in ("net", "ipc", "pid", "uts"))


def test_what_links_and_namespaces_imply_restarts_with_them_but_volumes_do_not() -> None:
    found = graph.dependencies(service("a", links=("b",), network_mode="service:c", volumes_from=("d",)))
    assert {n: d.restart for n, d in found.items()} == {"b": True, "c": True, "d": False}


def test_written_dependencies_beat_implied_ones() -> None:
    written = Dependency(service="b", condition="service_healthy")
    assert graph.dependencies(service("a", links=("b",), depends_on=[written]))["b"] is written


def test_a_cycle_is_named_as_a_chain() -> None:
    of = project(service("a", depends_on=["b"]), service("b", depends_on=["c"]), service("c", depends_on=["a"]))
    with pytest.raises(PlanError, match=r"dependency cycle detected: a -> b -> c -> a"):
        graph.order(of)


def test_a_service_that_needs_itself_is_a_cycle() -> None:
    with pytest.raises(PlanError, match=r"dependency cycle detected: a -> a"):
        graph.order(project(service("a", depends_on=["a"])))


def test_closure_and_dependents_are_transitive() -> None:
    of = project(service("a", depends_on=["b"]), service("b", depends_on=["c"]), service("c"), service("d"))
    assert graph.closure(of, ["a"]) == {"a", "b", "c"}
    assert graph.dependents(of, ["c"]) == {"a", "b"}


def test_a_required_dependency_on_a_disabled_service_names_its_profile() -> None:
    of = project(service("web", depends_on=["debug"]), disabled_services={"debug": service("debug", profiles=("dev",))})
    with pytest.raises(PlanError, match=r"service debug is required by web but is disabled. Can be enabled by profiles \[dev\]"):
        graph.check(of)


def test_an_optional_dependency_may_be_missing() -> None:
    of = project(service("web", depends_on=[Dependency(service="gone", required=False)]))
    graph.check(of)
    assert graph.closure(of, ["web"]) == {"web"}


def test_an_undefined_dependency_is_refused_with_the_nearest_name() -> None:
    of = project(service("web", depends_on=["databse"]), service("database"))
    with pytest.raises(PlanError) as refused:
        graph.check(of)
    assert refused.value.message == 'service "web" depends on undefined service "databse"'
    assert refused.value.hint == 'did you mean "database"?'


def test_naming_a_disabled_service_enables_it_and_its_profile() -> None:
    disabled = {n: service(n, profiles=p) for n, p in {"a": ("x",), "b": ("x", "y"), "c": ("z",)}.items()}
    enabled = graph.enable(project(service("web"), disabled_services=disabled), ["a"])
    assert set(enabled.services) == {"web", "a", "b"}
    assert set(enabled.disabled_services) == {"c"}


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(PlanError, match=r"no such service: nope"):
        graph.enable(project(service("web")), ["nope"])


def test_images_that_are_contexts_are_built_first() -> None:
    a = service("a", build=Build(context="/a", additional_contexts={"base": "service:z"}))
    of = project(a, service("z", build=Build(context="/z")))
    assert graph.build_order(of, ["a", "z"]) == ("z", "a")


def _step(step_id: str, *after: str) -> Step:
    return Step(id=step_id, operation=Barrier(), after=after)


def test_urgency_is_the_longest_way_to_the_end() -> None:
    steps = (_step("a"), _step("b", "a"), _step("c", "b"), _step("d"), replace(_step("e"), after_any=("c",)))
    assert graph.urgency(steps) == {"a": 4, "b": 3, "c": 2, "d": 1, "e": 1}
    assert graph.critical_path(steps) == ("a", "b", "c", "e")


def test_the_graph_prints_as_text_dot_and_mermaid() -> None:
    of = project(service("web", depends_on=[Dependency(service="db", condition="service_healthy")]), service("db"))
    assert graph.as_text(of) == "web\n└─ db  (healthy)"
    assert '"web" -> "db" [label="healthy"];' in graph.as_dot(of)
    assert graph.as_mermaid(of) == 'graph LR\n  s0["db"]\n  s1["web"]\n  s1 -->|healthy| s0'


def test_planning_loads_neither_networkx_nor_an_event_loop() -> None:
    code = (
        "import sys\nfrom compose import planner, graph\nfrom compose.intent import Up\nfrom compose.model import Project, Service\n"
        "from runtime.state import Snapshot\n"
        "p = Project(name='p', working_dir='/', services={'a': Service(name='a', image='x')})\n"
        "planner.plan(p, Snapshot(project='p', nonce='n'), Up())\nplanner.plan_images(p, Snapshot(project='p'), Up())\n"
        "print(sorted({'networkx', 'anyio', 'asyncio', 'pyroute2'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
