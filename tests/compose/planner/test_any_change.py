"""Any project changed into any other: the plan has an order, carrying it out gives what was asked for, and then there is nothing to do."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compose.intent import Down, Up
from compose.model import Dependency, IpamPool, Network, Project, Service, ServiceNetwork, ServiceVolume, Volume
from compose.planner import plan
from runtime.state import Status
from tests.fakes import FakeEngine, carry_out, engine, project, service

NAMES = ("a", "b", "c", "d")


@st.composite
def services(draw: st.DrawFn, name: str) -> Service:
    """A service that may depend on, link to, borrow from or live in those before it."""
    before = NAMES[: NAMES.index(name)]
    some = st.sampled_from(before) if before else st.nothing()
    mode = f"service:{draw(some)}" if before and draw(st.booleans()) and draw(st.booleans()) else ""
    networks = draw(st.lists(st.sampled_from(("x", "y")), max_size=2, unique=True)) if not mode else []
    depends_on = [Dependency(service=draw(some), restart=draw(st.booleans()))] if before and draw(st.booleans()) else []
    static = draw(st.sampled_from(("", "10.7.0.9"))) if name == draw(st.sampled_from(NAMES)) else ""
    return service(
        name,
        command=(draw(st.sampled_from(("one", "two"))),),
        network_mode=mode,
        networks=tuple(ServiceNetwork(network=n, ipv4_address=static if n == "x" else "") for n in networks),
        depends_on=depends_on,
        links=(draw(some),) if before and draw(st.booleans()) else (),
        volumes_from=(draw(some),) if before and draw(st.booleans()) else (),
        volumes=tuple(
            ServiceVolume(type="volume", source=s, target=f"/{s or 'anon'}")
            for s in draw(st.lists(st.sampled_from(("v", "")), unique=True))
        ),
        scale=1 if static else draw(st.integers(0, 2)),
    )


@st.composite
def projects(draw: st.DrawFn) -> Project:
    chosen = [draw(services(n)) for n in NAMES]
    static: set[str] = set()
    for index, one in enumerate(chosen):
        if any(n.ipv4_address for n in one.networks):
            if static:
                chosen[index] = replace(one, networks=tuple(replace(n, ipv4_address="") for n in one.networks))
            static.add(one.name)
    donors = {d for s in chosen for d in (s.network_mode.removeprefix("service:"), *s.volumes_from)}
    chosen = [replace(s, scale=max(1, s.scale or 0)) if s.name in donors else s for s in chosen]
    x = Network(key="x", name="demo_x", internal=draw(st.booleans()), ipam=(IpamPool(subnet="10.7.0.0/24"),))
    y = Network(key="y", name="demo_y", internal=draw(st.booleans()))
    return project(*chosen, networks=[x, y], volumes=[Volume(key="v", name="demo_v", labels={"l": draw(st.sampled_from("pq"))})])


def settle(there: FakeEngine, of: Project, intent: Up) -> None:
    """Carry out; who has no networks in the model is on the default one."""
    made = plan(of, there.snapshot(), intent)
    seen: set[str] = set()
    for step in made.steps:
        assert seen.issuperset((*step.after, *step.after_any)), step.id
        seen.add(step.id)
    carry_out(there, of, intent)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(projects(), projects(), st.sampled_from([Up(yes=True), Up(yes=True, force_recreate=True), Up(yes=True, remove_orphans=True)]))
def test_any_project_becomes_any_other(first: Project, second: Project, intent: Up) -> None:
    there = engine()
    settle(there, first, Up(yes=True))
    settle(there, second, intent)
    wanted = sorted(f"demo-{s.name}-{n}" for s in second.services.values() for n in range(1, s.replicas + 1))
    assert sorted(f"demo-{c.spec.labels['com.docker.compose.service']}-" for c in there.containers.values()) == sorted(
        n[:-1] for n in wanted
    )
    assert all(c.process.status is Status.RUNNING for c in there.containers.values())
    assert not any(c.spec.name[0] != "d" for c in there.containers.values())
    assert plan(second, there.snapshot(), Up()).steps == ()
    carry_out(there, second, Down(volumes=True, remove_orphans=True))
    assert (there.containers, there.networks) == ({}, {})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(projects(), projects(), st.integers(0, 40))
def test_a_change_cut_anywhere_is_finished_by_the_next_up(first: Project, second: Project, after: int) -> None:
    import anyio

    from compose.scheduler import execute

    there = engine()
    settle(there, first, Up(yes=True))
    made = plan(second, there.snapshot(), Up(yes=True))
    anyio.run(execute, replace(made, steps=made.steps[:after]), there, lambda _: None)
    settle(there, second, Up(yes=True))
    assert all(c.process.status is Status.RUNNING for c in there.containers.values())
    assert plan(second, there.snapshot(), Up()).steps == ()
    assert not any(c.spec.name[0] != "d" for c in there.containers.values())
