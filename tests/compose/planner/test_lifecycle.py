"""``start``, ``stop``, ``restart``, ``kill``, ``rm``, ``pause``, ``unpause``, ``down``, and projects known from labels alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compose.errors import PlanError, StepFailed
from compose.intent import Down, Kill, Pause, Restart, Rm, Run, Start, Stop, Unpause, Up
from compose.model import Build, Dependency, Hook, Network, Provider, ServiceNetwork, ServiceVolume, Volume
from compose.plan import Barrier
from compose.planner import plan, project_from_snapshot
from runtime.state import Health, ProcessState, Status
from tests.fakes import FakeEngine, carry_out, engine, image, project, service

STACK = project(
    service("web", depends_on=[Dependency(service="db", condition="service_healthy", restart=True)]),
    service("db", volumes=(ServiceVolume(type="volume", source="data", target="/d"), ServiceVolume(type="volume", target="/anon"))),
    service("lone"),
    volumes=[Volume(key="data", name="demo_data")],
)


def running() -> FakeEngine:
    there = engine(health={"db": Health.HEALTHY})
    carry_out(there, STACK, Up())
    return there


def status(there: FakeEngine, name: str) -> Status:
    return there.named(f"demo-{name}").process.status


def test_stop_goes_from_dependents_to_dependencies_and_is_idempotent() -> None:
    there = running()
    carry_out(there, STACK, Stop(timeout=3.0))
    assert there.log.index("stop demo-web-1") < there.log.index("stop demo-db-1")
    again = carry_out(there, STACK, Stop()).steps
    assert {(type(s.operation), s.doing, s.done) for s in again} == {(Barrier, "Stopping", "Stopped")}  # said, as Docker Compose does
    assert there.log == []


def test_stop_touches_only_what_is_named() -> None:
    there = running()
    carry_out(there, STACK, Stop(services=("db",)))
    assert there.log == ["stop demo-db-1"]


def test_the_timeout_is_passed_on() -> None:
    made = plan(STACK, running().snapshot(), Stop(timeout=3.0))
    assert {s.operation.timeout for s in made.steps} == {3.0}  # type: ignore[union-attr]


def test_start_brings_dependencies_first_with_their_conditions() -> None:
    there = running()
    carry_out(there, STACK, Stop())
    carry_out(there, STACK, Start(services=("web",)))
    assert there.log == ["start demo-db-1", "await-healthy demo-db-1", "start demo-web-1"]
    assert status(there, "lone-1") is Status.EXITED
    assert carry_out(there, STACK, Start(services=("web",))).steps == ()


def test_start_makes_nothing() -> None:
    with pytest.raises(PlanError, match="has no container to start"):
        plan(STACK, engine().snapshot(), Start())


def test_start_can_wait() -> None:
    there = running()
    carry_out(there, STACK, Stop())
    made = plan(STACK, there.snapshot(), Start(services=("lone",), wait=True, wait_timeout=2.0))
    assert [s.id for s in made.steps] == ["lone-1.start", "lone-1.wait"]


def test_restart_is_in_order_and_brings_exited_ones_back() -> None:
    there = running()
    carry_out(there, STACK, Stop(services=("lone",)))
    carry_out(there, STACK, Restart())
    assert there.log.index("restart demo-db-1") < there.log.index("restart demo-web-1")
    assert status(there, "lone-1") is Status.RUNNING


def test_dependents_with_restart_follow_a_restart_unless_told_not_to() -> None:
    there = running()
    carry_out(there, STACK, Restart(services=("db",)))
    assert there.log == ["restart demo-db-1", "restart demo-web-1"]
    carry_out(there, STACK, Restart(services=("db",), no_deps=True))
    assert there.log == ["restart demo-db-1"]


def test_a_service_of_another_profile_can_be_restarted_by_name() -> None:
    there = running()
    of = replace(
        STACK, services={n: s for n, s in STACK.services.items() if n != "lone"}, disabled_services={"lone": STACK.services["lone"]}
    )
    carry_out(there, of, Restart(services=("lone",)))
    assert there.log == ["restart demo-lone-1"]
    carry_out(there, of, Stop())
    assert "stop demo-lone-1" not in there.log


def test_hooks_surround_a_restart() -> None:
    of = project(service("web", pre_stop=(Hook(command=("drain",)),), post_start=(Hook(command=("warm",)),)))
    there = engine()
    carry_out(there, of, Up())
    carry_out(there, of, Restart())
    assert there.log == ["pre_stop web drain", "restart demo-web-1", "post_start web warm"]
    carry_out(there, of, Down())
    assert there.log[:2] == ["pre_stop web drain", "stop demo-web-1"]


def test_kill_signals_what_runs() -> None:
    there = running()
    made = carry_out(there, STACK, Kill(services=("db", "lone"), signal="SIGUSR1"))
    assert sorted(there.log) == ["kill demo-db-1", "kill demo-lone-1"]
    assert {s.operation.signal for s in made.steps} == {"SIGUSR1"}  # type: ignore[union-attr]
    assert plan(STACK, there.snapshot(), Kill(services=("db",))).steps == ()


def test_rm_removes_what_is_stopped_and_with_stop_everything() -> None:
    there = running()
    carry_out(there, STACK, Stop(services=("lone",)))
    carry_out(there, STACK, Rm())
    assert there.log == ["remove demo-lone-1"]
    anonymous = {v for v in there.volumes if len(v) == 64}
    carry_out(there, STACK, Rm(stop=True, volumes=True))
    assert there.names() == []
    assert not anonymous & set(there.volumes)
    assert "demo_data" in there.volumes


def test_pause_and_unpause() -> None:
    there = running()
    carry_out(there, STACK, Pause(services=("db",)))
    assert status(there, "db-1") is Status.PAUSED
    with pytest.raises(StepFailed, match="already paused"):
        carry_out(there, STACK, Pause(services=("db",)))
    carry_out(there, STACK, Unpause(services=("db",)))
    assert there.log == ["unpause demo-db-1"]
    assert status(there, "db-1") is Status.RUNNING
    with pytest.raises(StepFailed, match="is not paused"):
        carry_out(there, STACK, Unpause())


@pytest.mark.parametrize(
    "intent",
    [
        Stop(services=("nope",)),
        Start(services=("nope",)),
        Restart(services=("nope",)),
        Kill(services=("nope",)),
        Rm(services=("nope",)),
        Down(services=("nope",)),
        Run(service="nope"),
    ],
)
def test_unknown_names_are_refused(intent: Stop) -> None:
    with pytest.raises(PlanError, match="no such service: nope"):
        plan(STACK, engine().snapshot(), intent)


def test_one_offs_are_left_alone_by_everything_but_down_with_orphans() -> None:
    there = running()
    carry_out(there, STACK, Run(service="lone"))
    one_off = next(n for n in there.names() if "-run-" in n)
    for intent in (Stop(), Restart(), Kill(), Rm(stop=True)):
        made = plan(STACK, there.snapshot(), intent)
        assert all(one_off not in (s.resource or "") for s in made.steps)
    carry_out(there, STACK, Down())
    assert there.names() == [one_off]
    assert there.warnings == ["Network demo_default Resource is still in use"]
    made = carry_out(there, STACK, Down(remove_orphans=True))
    assert there.names() == []
    assert there.networks == {}


# --- down


def test_down_stops_and_removes_in_reverse_then_networks() -> None:
    there = running()
    carry_out(there, STACK, Down())
    log = there.log
    assert log.index("stop demo-web-1") < log.index("stop demo-db-1")
    assert log.index("remove demo-db-1") > log.index("stop demo-db-1")
    assert log[-1] == "remove-network demo_default"
    assert (there.containers, there.networks) == ({}, {})
    assert "demo_data" in there.volumes
    again = carry_out(there, STACK, Down())
    assert (again.steps, again.warnings) == ((), ())


def test_down_with_volumes_takes_named_and_anonymous_ones_but_no_external_ones() -> None:
    there = running()
    of = replace(STACK, volumes={**STACK.volumes, "ext": Volume(key="ext", name="far", external=True)})
    from runtime.spec import VolumeSpec
    from runtime.state import VolumeState

    there.volumes["far"] = VolumeState(
        spec=VolumeSpec(name="far", labels={"com.docker.compose.project": "demo", "com.docker.compose.volume": "ext"})
    )
    carry_out(there, of, Down(volumes=True))
    assert set(there.volumes) == {"far"}


def test_down_of_a_service_leaves_others_and_their_network() -> None:
    there = running()
    carry_out(there, STACK, Down(services=("lone",)))
    assert there.names() == ["demo-db-1", "demo-web-1"]
    assert there.warnings == ["Network demo_default Resource is still in use"]


def test_down_of_a_service_takes_dependents_when_only_labels_are_known() -> None:
    there = running()
    carry_out(there, project_from_snapshot(there.snapshot()), Down(services=("db",), dependents=True))
    assert there.names() == ["demo-lone-1"]


def test_down_leaves_services_of_other_profiles_unless_they_are_enabled() -> None:
    there = running()
    of = replace(
        STACK, services={n: s for n, s in STACK.services.items() if n != "lone"}, disabled_services={"lone": STACK.services["lone"]}
    )
    carry_out(there, of, Down(remove_orphans=True))
    assert there.names() == ["demo-lone-1"]


def test_down_removes_orphans_when_asked() -> None:
    there = running()
    of = project(STACK.services["db"], volumes=[STACK.volumes["data"]])
    carry_out(there, of, Down())
    assert there.names() == ["demo-lone-1", "demo-web-1"]
    carry_out(there, of, Down(remove_orphans=True))
    assert there.names() == []


def test_down_keeps_external_networks_and_removes_renamed_ones() -> None:
    there = engine()
    carry_out(
        there, project(service("web", networks=(ServiceNetwork(network="old"),)), networks=[Network(key="old", name="demo_old")]), Up()
    )
    of = project(service("web"), networks=[Network(key="ext", name="demo_ext", external=True)])
    carry_out(there, of, Down())
    assert there.networks == {}


@pytest.mark.parametrize(("rmi", "gone"), [("local", {"demo-built"}), ("all", {"demo-built", "busybox"})])
def test_down_with_rmi(rmi: str, gone: set[str]) -> None:
    of = project(service("built", image="", build=Build(context="/x")), service("web"))
    there = engine(images={"busybox": image("busybox"), "demo-built": image("demo-built"), "other": image("other")})
    carry_out(there, of, Up())
    before = set(there.images)
    carry_out(there, of, Down(rmi=rmi))
    assert before - set(there.images) == gone


def test_a_donor_goes_after_those_who_live_in_its_namespaces() -> None:
    there = engine()
    of = project(service("net"), service("app", network_mode="service:net"))
    carry_out(there, of, Up())
    carry_out(there, of, Down())
    assert there.log.index("remove demo-app-1") < there.log.index("remove demo-net-1")


def test_the_shared_bridge_goes_with_its_last_user() -> None:
    there = engine()
    of = project(service("web", network_mode="bridge"))
    carry_out(there, of, Up())
    assert set(there.networks) == {"bridge"}
    carry_out(there, project(service("other")), Down(services=("other",)))
    assert set(there.networks) == {"bridge"}
    carry_out(there, of, Rm(stop=True))
    carry_out(there, of, Down())
    assert there.networks == {}


def test_providers_are_asked_too() -> None:
    of = project(service("db", image="", provider=Provider(type="aws")), service("web", depends_on=["db"]))
    there = engine()
    carry_out(there, of, Up())
    assert there.names() == ["demo-web-1"]
    carry_out(there, of, Down())
    assert there.log.index("stop demo-web-1") < there.log.index("provider-down db")


# --- from labels alone


def test_a_project_is_known_again_from_its_labels() -> None:
    there = running()
    carry_out(there, STACK, Up(scale={"lone": 2}))
    known = project_from_snapshot(there.snapshot())
    assert list(known.services) == ["db", "lone", "web"]
    assert known.services["web"].depends_on == {"db": Dependency(service="db", condition="service_healthy", restart=True)}
    assert known.services["lone"].replicas == 2
    assert (known.working_dir, known.files) == ("/srv/demo", ("/srv/demo/compose.yaml",))
    assert {n.name for n in known.networks.values()} == {"demo_default"}
    assert {v.name for v in known.volumes.values()} == {"demo_data"}
    carry_out(there, known, Stop())
    assert there.log.index("stop demo-web-1") < there.log.index("stop demo-db-1")
    carry_out(there, known, Down(volumes=True))
    assert (there.containers, there.networks, there.volumes) == ({}, {}, {})


def test_an_exited_container_is_not_stopped_again_by_down() -> None:
    there = running()
    there._set(there.named("demo-lone-1").spec.id, ProcessState(status=Status.EXITED))
    carry_out(there, STACK, Down())
    assert "stop demo-lone-1" not in there.log
    assert there.names() == []
