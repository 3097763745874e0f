"""The convergence table: what ``up`` does to each container, and why."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compose.errors import PlanError, StepFailed
from compose.intent import Create, Scale, Up
from compose.model import Dependency, FileSource, Network, Project, ServiceFile, ServiceNetwork, ServiceVolume, Volume
from compose.plan import CreateContainer, Plan
from compose.planner import plan
from runtime.spec import NetworkSpec, SubnetSpec, VolumeMount, VolumeSpec
from runtime.state import Health, HealthState, NetworkState, ProcessState, Status, VolumeState
from tests.fakes import FakeEngine, carry_out, engine, image, project, service


def changed(of: Project, name: str, **attributes: object) -> Project:
    return replace(of, services={**of.services, name: replace(of.services[name], **attributes)})  # type: ignore[arg-type]


def ids(there: FakeEngine) -> dict[str, str]:
    return {c.spec.name: c.spec.id for c in there.containers.values()}


def causes(made: Plan) -> dict[str, str]:
    return {s.id: s.cause for s in made.steps if isinstance(s.operation, CreateContainer)}


CHAIN = project(service("web", depends_on=["db"]), service("db"))


def test_a_first_up_prints_as_a_plan() -> None:
    assert str(plan(CHAIN, engine().snapshot(), Up())) == (
        'net:default  CreateNetwork  "not there"\n'
        '[net:default] → db-1.create  CreateContainer  "not there"\n'
        '[net:default] → web-1.create  CreateContainer  "not there"\n'
        '[db-1.create, web-1.create] → created  Barrier  "nothing starts before all is made"\n'
        '[created] → db-1.start  StartContainer  "created"\n'
        '[created, db-1.start] → web-1.start  StartContainer  "created"'
    )


def test_a_second_up_has_nothing_to_do() -> None:
    there = engine()
    carry_out(there, CHAIN, Up())
    again = carry_out(there, CHAIN, Up())
    assert again.steps == ()
    assert again.notes == (("Container demo-db-1", "Running"), ("Container demo-web-1", "Running"))


def test_only_the_changed_service_is_replaced_and_the_cause_names_what_changed() -> None:
    there = engine()
    carry_out(there, CHAIN, Up())
    before = ids(there)
    made = carry_out(there, changed(CHAIN, "web", environment={"A": "1"}, command=("x",)), Up())
    assert causes(made) == {"web-1.create": "config changed: command, environment"}
    assert ids(there)["demo-db-1"] == before["demo-db-1"]
    assert ids(there)["demo-web-1"] != before["demo-web-1"]


def test_a_replacement_is_made_beside_the_old_one_then_takes_its_name() -> None:
    there = engine()
    carry_out(there, CHAIN, Up())
    old = there.named("demo-web-1").spec
    made = carry_out(there, changed(CHAIN, "web", command=("x",)), Up())
    temporary = f"{old.id[:12]}_demo-web-1"
    assert there.log == [f"create {temporary}", "stop demo-web-1", "remove demo-web-1", "rename demo-web-1", "start demo-web-1"]
    new = there.named("demo-web-1").spec
    assert new.labels["com.docker.compose.replace"] == "web-1"
    assert new.labels["com.docker.compose.container-number"] == "1"
    shown = [(s.resource, w) for s in made.steps for w in (s.doing, s.done) if w]
    assert shown == [("Container demo-web-1", w) for w in ("Recreate", "Recreated", "Starting", "Started")]


def test_another_image_replaces() -> None:
    there = engine()
    carry_out(there, CHAIN, Up())
    there.images["busybox"] = image("busybox", digest="newer")
    assert set(causes(carry_out(there, CHAIN, Up()))) == {"db-1.create", "web-1.create"}
    assert set(causes(carry_out(there, CHAIN, Up()))) == set()


def test_the_image_of_an_image_mount_counts() -> None:
    there = engine(images={"busybox": image("busybox"), "data": image("data")})
    of = project(service("web", volumes=(ServiceVolume(type="image", source="data", target="/d"),)))
    carry_out(there, of, Up())
    assert carry_out(there, of, Up()).steps == ()
    there.images["data"] = image("data", digest="newer")
    assert causes(carry_out(there, of, Up())) == {"web-1.create": "mounted image changed"}


def test_a_changed_inline_config_replaces_its_users_only() -> None:
    def of(text: str) -> Project:
        source = FileSource(key="c", name="demo_c", content=text)
        return project(service("web", configs=(ServiceFile(source="c"),)), service("db"), configs={"c": source})

    there = engine()
    carry_out(there, of("one"), Up())
    assert causes(carry_out(there, of("two"), Up())) == {"web-1.create": "config changed: volumes"}


@pytest.mark.parametrize(
    ("intent", "replaced"),
    [
        (Up(force_recreate=True), {"db", "web"}),
        (Up(force_recreate=True, services=("web",)), {"web"}),
        (Up(always_recreate_deps=True, services=("web",)), {"db"}),
        (Up(force_recreate=True, always_recreate_deps=True, services=("web",)), {"db", "web"}),
        (Up(), set()),
    ],
)
def test_policies(intent: Up, replaced: set[str]) -> None:
    there = engine()
    carry_out(there, CHAIN, Up())
    assert {i.split("-")[0] for i in causes(carry_out(there, CHAIN, intent))} == replaced


def test_no_recreate_leaves_what_differs() -> None:
    there = engine()
    carry_out(there, CHAIN, Up())
    assert carry_out(there, changed(CHAIN, "db", command=("x",)), Up(no_recreate=True)).steps == ()


def test_dependencies_that_differ_are_replaced_too_but_not_with_no_deps() -> None:
    there = engine()
    carry_out(there, CHAIN, Up())
    of = changed(CHAIN, "db", command=("x",))
    assert set(causes(plan(of, there.snapshot(), Up(services=("web",), no_deps=True)))) == set()
    assert set(causes(plan(of, there.snapshot(), Up(services=("web",))))) == {"db-1.create"}


def test_selected_services_come_with_their_dependencies_and_nothing_else() -> None:
    of = project(
        *CHAIN.services.values(),
        service("other", networks=(ServiceNetwork(network="far"),)),
        networks=[Network(key="far", name="demo_far")],
    )
    there = engine()
    carry_out(there, of, Up(services=("web",)))
    assert there.names() == ["demo-db-1", "demo-web-1"]
    assert set(there.networks) == {"demo_default"}


def test_anonymous_volumes_are_carried_over_by_their_target() -> None:
    of = project(service("web", volumes=(ServiceVolume(type="volume", target="/a"),)))
    there = engine(images={"busybox": image("busybox", volumes=("/b",))})
    carry_out(there, of, Up())

    def volumes() -> dict[str, str]:
        mounts = there.named("demo-web-1").spec.mounts
        return {m.target: m.volume for m in mounts if isinstance(m, VolumeMount)}

    before = volumes()
    carry_out(there, changed(of, "web", command=("x",)), Up())
    assert volumes() == before
    assert set(before) == {"/a", "/b"}
    carry_out(there, of, Up(renew_anon_volumes=True))
    assert not set(volumes().values()) & set(before.values())
    assert set(before.values()) <= set(there.volumes)  # what was written stays on disk


def test_exited_containers_are_started_and_left_alone_by_create() -> None:
    there = engine(exits={"db": 0})
    of = project(service("db"))
    carry_out(there, of, Up())
    assert carry_out(there, of, Create()).steps == ()
    made = carry_out(there, of, Up())
    assert [(s.id, s.cause) for s in made.steps] == [("db-1.start", "exited (0)")]


def test_paused_containers_are_thawed() -> None:
    there = engine()
    of = project(service("db"))
    carry_out(there, of, Up())
    there._set(there.named("demo-db-1").spec.id, ProcessState(status=Status.PAUSED))
    assert [s.id for s in carry_out(there, of, Up()).steps] == ["db-1.unpause"]


def test_create_makes_and_starts_nothing() -> None:
    there = engine()
    carry_out(there, CHAIN, Create())
    assert [v.split()[0] for v in there.log] == ["create-network", "create", "create"]


# --- networks and volumes


def test_a_changed_network_is_made_anew_under_the_same_containers() -> None:
    of = project(service("web", depends_on=["db"], networks=(ServiceNetwork(network="default", aliases=("www",)),)), service("db"))
    there = engine()
    carry_out(there, of, Up())
    before, names_before = ids(there), there.named("demo-web-1").spec.endpoints[0].aliases
    renewed = replace(of, networks={"default": Network(key="default", name="demo_default", internal=True)})
    carry_out(there, renewed, Up())
    assert there.log == [
        "stop demo-web-1",
        "disconnect demo-web-1 demo_default",
        "stop demo-db-1",
        "disconnect demo-db-1 demo_default",
        "remove-network demo_default",
        "create-network demo_default",
        "connect demo-web-1 demo_default",
        "connect demo-db-1 demo_default",
        "start demo-db-1",
        "start demo-web-1",
    ] or sorted(there.log[:4]) == sorted(
        ["stop demo-web-1", "disconnect demo-web-1 demo_default", "stop demo-db-1", "disconnect demo-db-1 demo_default"]
    )
    assert ids(there) == before
    assert there.networks["demo_default"].spec.internal
    assert there.named("demo-web-1").spec.endpoints[0].aliases == names_before
    assert "web" in names_before
    assert carry_out(there, renewed, Up()).steps == ()


def test_a_changed_network_takes_unselected_services_and_orphans_along() -> None:
    of = project(service("web"), service("other"))
    there = engine()
    carry_out(there, project(service("web"), service("other"), service("old")), Up())
    renewed = replace(of, networks={"default": Network(key="default", name="demo_default", internal=True)})
    carry_out(there, renewed, Up(services=("web",)))
    assert {c.process.status for c in there.containers.values()} == {Status.RUNNING}
    assert {e.network for c in there.containers.values() for e in c.spec.endpoints} == {"demo_default"}


def test_a_service_that_changes_with_its_network_is_replaced_on_the_new_one() -> None:
    there = engine()
    carry_out(there, CHAIN, Up())
    of = replace(changed(CHAIN, "db", command=("x",)), networks={"default": Network(key="default", name="demo_default", internal=True)})
    before = ids(there)
    carry_out(there, of, Up())
    assert ids(there)["demo-web-1"] == before["demo-web-1"]
    assert ids(there)["demo-db-1"] != before["demo-db-1"]
    assert {c.process.status for c in there.containers.values()} == {Status.RUNNING}
    assert carry_out(there, of, Up()).steps == ()


def test_a_renamed_network_is_replaced_and_the_old_one_removed() -> None:
    there = engine()
    carry_out(there, project(service("web")), Up())
    of = project(service("web", networks=(ServiceNetwork(network="new"),)))
    of = replace(of, networks={"new": Network(key="new", name="demo_new")})
    carry_out(there, of, Up())
    assert set(there.networks) == {"demo_new"}


def test_a_missing_external_network_is_refused_only_when_it_is_used() -> None:
    far = Network(key="far", name="far", external=True)
    of = project(service("web"), service("x", networks=(ServiceNetwork(network="far"),)), networks=[far])
    with pytest.raises(PlanError, match=r"network far declared as external, but could not be found"):
        plan(of, engine().snapshot(), Up())
    assert plan(of, engine().snapshot(), Up(services=("web",))).steps


def test_a_network_somebody_else_made_is_used_with_a_warning() -> None:
    foreign = NetworkState(
        spec=NetworkSpec(id="f" * 64, name="demo_default", subnets=(SubnetSpec(subnet="10.0.0.0/24", gateway="10.0.0.1"),))
    )
    there = engine(networks={"demo_default": foreign})
    made = carry_out(there, CHAIN, Up())
    assert made.warnings[0].startswith('a network with name demo_default exists but was not created for project "demo"')
    assert there.named("demo-db-1").spec.endpoints[0].ipv4 == "10.0.0.2"


def test_a_network_of_the_project_with_another_key_is_refused() -> None:
    there = engine()
    carry_out(there, CHAIN, Up())
    of = project(service("web", networks=(ServiceNetwork(network="n"),)), networks=[Network(key="n", name="demo_default")])
    with pytest.raises(PlanError, match=r'has incorrect label com.docker.compose.network set to "default"'):
        plan(of, there.snapshot(), Up())


DATA = ServiceVolume(type="volume", source="data", target="/d")


def test_a_changed_volume_asks_first_and_no_means_as_before() -> None:
    there = engine()
    of = project(service("db", volumes=(DATA,)), volumes=[Volume(key="data", name="demo_data")])
    carry_out(there, of, Up())
    other = replace(of, volumes={"data": Volume(key="data", name="demo_data", labels={"a": "b"})})
    made = carry_out(there, other, Up())
    assert made.steps == ()
    assert [q.subject for q in made.questions] == ["demo_data"]
    assert (
        made.questions[0].text
        == 'Volume "demo_data" exists but doesn\'t match configuration in compose file. Recreate (data will be lost)?'
    )


@pytest.mark.parametrize("agreed", [Up(yes=True), Up(agreed=frozenset({"demo_data"}))])
def test_agreed_a_changed_volume_is_made_anew_with_all_its_users(agreed: Up) -> None:
    there = engine()
    users = [service("db", volumes=(DATA,)), service("web", volumes=(DATA,)), service("free")]
    carry_out(there, project(*users, service("old", volumes=(DATA,)), volumes=[Volume(key="data", name="demo_data")]), Up())
    before = ids(there)
    of = project(*users, volumes=[Volume(key="data", name="demo_data", labels={"a": "b"})])
    carry_out(there, of, replace(agreed, services=("db",)))
    assert dict(there.volumes["demo_data"].spec.labels)["a"] == "b"
    assert there.names() == ["demo-db-1", "demo-free-1", "demo-web-1"]
    assert {n for n, i in ids(there).items() if before[n] == i} == {"demo-free-1"}
    assert {c.process.status for c in there.containers.values()} == {Status.RUNNING}
    assert there.log.index("remove-volume demo_data") < there.log.index("create-volume demo_data") < there.log.index("create demo-db-1")


def test_volumes_of_others_and_external_ones() -> None:
    of = project(service("db", volumes=(DATA,)), volumes=[Volume(key="data", name="shared")])
    foreign = {"shared": VolumeState(spec=VolumeSpec(name="shared", labels={"com.docker.compose.project": "other"}))}
    made = plan(of, engine(volumes=foreign).snapshot(), Up())
    assert made.warnings == (
        'volume "shared" already exists but was created for project "other" (expected "demo"). Use `external: true` to use an existing volume',
    )
    external = replace(of, volumes={"data": Volume(key="data", name="shared", external=True)})
    with pytest.raises(PlanError, match=r'external volume "shared" not found'):
        plan(external, engine().snapshot(), Up())


def test_a_volume_switched_to_another_name_replaces_its_users() -> None:
    there = engine()
    of = project(service("db", volumes=(DATA,)), volumes=[Volume(key="data", name="one")])
    carry_out(there, of, Up())
    made = carry_out(there, replace(of, volumes={"data": Volume(key="data", name="two")}), Up())
    assert causes(made) == {"db-1.create": "volume two is not mounted"}
    assert set(there.volumes) == {"one", "two"}


# --- scale


def test_scaling_up_counts_on_from_the_highest_number() -> None:
    there = engine()
    of = project(service("web"))
    carry_out(there, of, Up(scale={"web": 3}))
    carry_out(there, of, Up(scale={"web": 2}))
    assert there.names() == ["demo-web-1", "demo-web-2"]
    del there.containers[there.named("demo-web-1").spec.id]
    carry_out(there, of, Up(scale={"web": 3}))
    assert there.names() == ["demo-web-2", "demo-web-3", "demo-web-4"]


def test_scaling_down_removes_what_differs_first() -> None:
    there = engine()
    of = project(service("web"))
    carry_out(there, changed(of, "web", command=("old",)), Up())
    carry_out(there, of, Up(scale={"web": 3}, no_recreate=True))
    carry_out(there, of, Up(scale={"web": 2}))
    assert there.names() == ["demo-web-2", "demo-web-3"]


def test_no_replicas_still_have_their_network() -> None:
    there = engine()
    carry_out(there, project(service("web", scale=0)), Up())
    assert there.names() == []
    assert set(there.networks) == {"demo_default"}


def test_scale_touches_what_it_names() -> None:
    there = engine()
    carry_out(there, CHAIN, Up())
    made = carry_out(there, changed(CHAIN, "db", command=("x",)), Scale(scale={"web": 2}, no_deps=True))
    assert causes(made) == {"web-2.create": "not there"}


def test_a_container_name_forbids_replicas() -> None:
    with pytest.raises(PlanError, match=r'The "db" service is using the custom container name "thedb"'):
        plan(project(service("db", container_name="thedb")), engine().snapshot(), Up(scale={"db": 2}))


def test_two_selected_services_cannot_share_a_container_name() -> None:
    of = project(service("a", container_name="x"), service("b", container_name="x"))
    with pytest.raises(PlanError, match=r'services.b: container name "x" is already in use by service a'):
        plan(of, engine().snapshot(), Up())
    assert plan(of, engine().snapshot(), Up(services=("b",))).steps


def test_unknown_services_are_refused() -> None:
    for intent in (Up(services=("nope",)), Up(scale={"nope": 1})):
        with pytest.raises(PlanError, match=r"no such service: nope"):
            plan(CHAIN, engine().snapshot(), intent)


# --- orphans


def test_orphans_are_warned_about_and_removed_when_asked() -> None:
    there = engine()
    carry_out(there, project(service("web"), service("old")), Up())
    of = project(service("web"))
    made = carry_out(there, of, Up())
    assert made.warnings[0].startswith("Found orphan containers ([demo-old-1]) for this project.")
    assert plan(of, there.snapshot(), Up(ignore_orphans=True)).warnings == ()
    carry_out(there, of, Up(remove_orphans=True))
    assert there.log == ["stop demo-old-1", "remove demo-old-1"]


def test_services_of_other_profiles_are_no_orphans() -> None:
    there = engine()
    debug = service("debug", profiles=("dev",))
    carry_out(there, project(service("web"), debug), Up())
    made = carry_out(there, project(service("web"), disabled_services={"debug": debug}), Up(remove_orphans=True))
    assert (made.steps, made.warnings) == ((), ())


def test_naming_a_service_of_a_profile_enables_it() -> None:
    there = engine()
    carry_out(there, project(service("web"), disabled_services={"debug": service("debug", profiles=("dev",))}), Up(services=("debug",)))
    assert there.names() == ["demo-debug-1"]


# --- ties


def test_who_shares_a_namespace_follows_a_replacement_even_when_not_selected() -> None:
    there = engine()
    of = project(service("net"), service("app", network_mode="service:net"))
    carry_out(there, of, Up())
    made = carry_out(there, of, Up(services=("net",), force_recreate=True))
    assert causes(made)["app-1.create"] == "shares the network namespace of net, which is replaced"
    assert there.named("demo-app-1").spec.network_mode == f"container:{there.named('demo-net-1').spec.id}"
    assert there.named("demo-app-1").running
    assert there.log.index("stop demo-app-1") < there.log.index("stop demo-net-1")


def test_a_stale_donor_is_noticed_later() -> None:
    there = engine()
    of = project(service("net"), service("app", pid="service:net"))
    carry_out(there, of, Up())
    without_app = project(service("net"))
    carry_out(there, without_app, Up(force_recreate=True))
    assert set(causes(carry_out(there, of, Up()))) == {"app-1.create"}


def test_borrowers_of_volumes_follow_when_selected() -> None:
    there = engine()
    of = project(service("data", volumes=(ServiceVolume(type="volume", target="/v"),)), service("app", volumes_from=("data",)))
    carry_out(there, of, Up())
    made = carry_out(there, changed(of, "data", command=("x",)), Up())
    assert causes(made)["app-1.create"] == "takes volumes from data, which is replaced"


RESTARTING = project(service("web", depends_on=[Dependency(service="db", restart=True)]), service("db"), service("calm", depends_on=["db"]))


def test_dependents_with_restart_stop_first_and_start_after() -> None:
    there = engine()
    carry_out(there, RESTARTING, Up())
    before = ids(there)
    carry_out(there, changed(RESTARTING, "db", command=("x",)), Up(services=("db",)))
    assert (
        there.log.index("stop demo-web-1")
        < there.log.index("stop demo-db-1")
        < there.log.index("start demo-db-1")
        < there.log.index("start demo-web-1")
    )
    assert ids(there)["demo-web-1"] == before["demo-web-1"]
    assert not any("calm" in line for line in there.log)


def test_dependents_that_come_back_wait_for_the_condition_again() -> None:
    db = Dependency(service="db", condition="service_healthy", restart=True)
    of = project(service("web", depends_on=[db]), service("db"))
    there = engine(health={"db": Health.HEALTHY})
    carry_out(there, of, Up())
    carry_out(there, of, Up(services=("db",), force_recreate=True))
    assert there.log[-3:] == ["start demo-db-1", "await-healthy demo-db-1", "start demo-web-1"]
    carry_out(there, of, Up(services=("db",), force_recreate=True, no_deps=True))
    assert there.log[-3:] == ["start demo-db-1", "await-healthy demo-db-1", "start demo-web-1"]


def test_dependents_that_were_stopped_stay_stopped() -> None:
    there = engine()
    carry_out(there, RESTARTING, Up())
    there._set(there.named("demo-web-1").spec.id, ProcessState(status=Status.EXITED))
    carry_out(there, changed(RESTARTING, "db", command=("x",)), Up(services=("db",)))
    assert not any("web" in line for line in there.log)


def test_linked_containers_keep_their_address_when_they_are_replaced() -> None:
    there = engine()
    of = project(service("web", links=("db",)), service("db"))
    carry_out(there, of, Up())
    address = there.named("demo-db-1").spec.endpoints[0].ipv4
    carry_out(there, changed(of, "db", command=("x",)), Up())
    assert there.named("demo-db-1").spec.endpoints[0].ipv4 == address
    assert there.named("demo-web-1").spec.environment["DB_NAME"] == "/demo-web-1/db"
    assert carry_out(there, changed(of, "db", command=("x",)), Up()).steps == ()


def test_a_static_address_goes_from_the_old_container_to_the_new_one() -> None:
    from compose.model import IpamPool

    net = Network(key="default", name="demo_default", ipam=(IpamPool(subnet="10.9.0.0/24"),))
    fixed = (ServiceNetwork(network="default", ipv4_address="10.9.0.5"),)
    of = replace(project(service("a", networks=fixed), service("b")), networks={"default": net})
    there = engine()
    carry_out(there, of, Up())
    carry_out(there, changed(of, "a", command=("x",)), Up())
    assert there.named("demo-a-1").spec.endpoints[0].ipv4 == "10.9.0.5"
    swapped = changed(changed(of, "a", networks=(ServiceNetwork(network="default"),)), "b", networks=fixed)
    carry_out(there, swapped, Up())
    assert there.named("demo-b-1").spec.endpoints[0].ipv4 == "10.9.0.5"
    assert carry_out(there, swapped, Up()).steps == ()


def test_container_names_can_change_places() -> None:
    there = engine()
    of = project(service("a", container_name="one"), service("b", container_name="two"))
    carry_out(there, of, Up())
    carry_out(there, changed(changed(of, "a", container_name="two"), "b", container_name="three"), Up())
    assert there.names() == ["three", "two"]


# --- conditions, hooks, waiting


def test_a_healthy_dependency_is_awaited_once_for_all() -> None:
    healthy = Dependency(service="db", condition="service_healthy")
    of = project(service("a", depends_on=[healthy]), service("b", depends_on=[healthy]), service("db"))
    there = engine(health={"db": Health.HEALTHY})
    carry_out(there, of, Up())
    assert there.log.count("await-healthy demo-db-1") == 1
    assert there.log.index("await-healthy demo-db-1") < there.log.index("start demo-a-1")
    again = carry_out(there, of, Up())
    assert again.steps == ()
    assert ("Container demo-db-1", "Healthy") in again.notes


def test_an_unhealthy_dependency_fails_and_dependents_stay_created() -> None:
    of = project(service("a", depends_on=[Dependency(service="db", condition="service_healthy")]), service("db"))
    there = engine(health={"db": Health.UNHEALTHY})
    with pytest.raises(StepFailed, match=r"dependency failed to start: container demo-db-1 is unhealthy"):
        carry_out(there, of, Up())
    assert there.named("demo-a-1").process.status is Status.CREATED


def test_a_completed_dependency_is_awaited() -> None:
    of = project(service("a", depends_on=[Dependency(service="job", condition="service_completed_successfully")]), service("job"))
    there = engine(exits={"job": 0})
    made = carry_out(there, of, Up())
    assert there.log[-2:] == ["await-completed demo-job-1", "start demo-a-1"]
    waiting = next(s for s in made.steps if s.id == "job-1.completed")
    assert (waiting.doing, waiting.done) == ("Waiting", "Exited")
    there = engine(exits={"job": 4})
    with pytest.raises(StepFailed, match=r"^service \"job\" didn't complete successfully: exit 4$"):
        carry_out(there, of, Up())


def test_an_optional_dependency_that_fails_only_warns() -> None:
    optional = Dependency(service="db", condition="service_healthy", required=False)
    of = project(service("a", depends_on=[optional]), service("db"))
    there = engine(health={"db": Health.UNHEALTHY})
    carry_out(there, of, Up())
    assert there.named("demo-a-1").running
    assert there.warnings == ["optional dependency failed to start: container demo-db-1 is unhealthy"]


def test_an_optional_dependency_that_does_not_even_start_holds_nobody_back() -> None:
    of = project(service("a", depends_on=[Dependency(service="db", required=False)]), service("db"))
    there = engine(fail={"start demo-db-1": "no"})
    with pytest.raises(StepFailed, match=r"^no$"):
        carry_out(there, of, Up())
    assert there.named("demo-a-1").running


def test_a_failed_creation_starts_nothing() -> None:
    there = engine(fail={"create demo-web-1": "no such directory"})
    with pytest.raises(StepFailed, match=r"no such directory"):
        carry_out(there, CHAIN, Up())
    assert not any(line.startswith("start") for line in there.log)


def test_wait_waits_for_everything_asked_for() -> None:
    of = project(
        service("web", depends_on=[Dependency(service="job", condition="service_completed_successfully")]), service("job"), service("db")
    )
    there = engine(exits={"job": 0}, health={"db": Health.HEALTHY})
    made = carry_out(there, of, Up(wait=True, wait_timeout=7.0))
    waits = {s.id: (s.operation.condition, s.operation.timeout) for s in made.steps if s.id.endswith(".wait")}  # type: ignore[union-attr]
    assert waits == {"web-1.wait": ("running_or_healthy", 7.0), "db-1.wait": ("running_or_healthy", 7.0), "job-1.wait": ("completed", 7.0)}


def test_waiting_for_what_is_healthy_already_takes_no_step() -> None:
    there = engine()
    carry_out(there, CHAIN, Up())
    made = plan(CHAIN, there.snapshot(), Up(wait=True))
    assert made.steps == ()
    there._set(there.named("demo-db-1").spec.id, ProcessState(status=Status.RUNNING, health=HealthState(status=Health.STARTING)))
    assert [s.id for s in plan(CHAIN, there.snapshot(), Up(wait=True)).steps] == ["db-1.wait"]


def test_hooks_are_steps_in_their_places() -> None:
    from compose.model import Hook

    web = service("web", post_start=(Hook(command=("warm",)), Hook(command=("up",))), pre_stop=(Hook(command=("drain",)),))
    of = project(web, service("after", depends_on=["web"]))
    there = engine()
    carry_out(there, of, Up())
    assert there.log[-4:] == ["start demo-web-1", "post_start web warm", "post_start web up", "start demo-after-1"]
    carry_out(there, changed(of, "web", command=("x",)), Up())
    assert there.log.index("pre_stop web drain") < there.log.index("stop demo-web-1")


def test_pre_start_runs_once_per_service_in_containers_of_its_own() -> None:
    from compose.model import Hook

    web = service("web", scale=2, pre_start=(Hook(command=("migrate",)), Hook(command=("seed",), image="other")))
    there = engine(images={"busybox": image("busybox"), "other": image("other")})
    of = project(web)
    made = carry_out(there, of, Up())
    hooks = [s.operation.spec for s in made.steps if isinstance(s.operation, CreateContainer) and "hook" in s.cause]
    assert [(h.command, h.entrypoint, h.image, h.ports) for h in hooks] == [(("migrate",), (), "busybox", ()), (("seed",), (), "other", ())]
    assert [h.labels["com.docker.compose.hook"] for h in hooks] == ["pre_start[0]", "pre_start[1]"]
    assert all(h.labels["com.docker.compose.oneoff"] == "True" for h in hooks)
    assert [v.split()[0] for v in there.log[3:]] == ["create", "start", "await-completed", "remove"] * 2 + ["start"] * 2
    assert there.names() == ["demo-web-1", "demo-web-2"]
    assert carry_out(there, of, Up()).steps == ()


# --- half-done commands converge


def _cut(there: FakeEngine, of: Project, after: int) -> None:
    """Carry out the first steps of ``up`` only, as when the command was killed."""
    import anyio

    from compose.scheduler import execute

    made = plan(of, there.snapshot(), Up())
    anyio.run(execute, replace(made, steps=made.steps[:after]), there, lambda _: None)


@pytest.mark.parametrize("after", range(6))
def test_a_replacement_cut_anywhere_is_finished_by_the_next_up(after: int) -> None:
    there = engine()
    of = project(service("db", volumes=(ServiceVolume(type="volume", target="/v"),)))
    carry_out(there, of, Up())
    volume = there.named("demo-db-1").spec.mounts[0].volume  # type: ignore[union-attr]
    newer = changed(of, "db", command=("x",))
    _cut(there, newer, after)
    carry_out(there, newer, Up())
    assert there.names() == ["demo-db-1"]
    left = there.named("demo-db-1")
    assert left.running
    assert left.spec.command == ("x",)
    assert left.spec.mounts[0].volume == volume  # type: ignore[union-attr]
    assert carry_out(there, newer, Up()).steps == ()


@pytest.mark.parametrize("after", range(9))
def test_a_network_change_cut_anywhere_is_finished_by_the_next_up(after: int) -> None:
    there = engine()
    carry_out(there, CHAIN, Up())
    of = replace(CHAIN, networks={"default": Network(key="default", name="demo_default", internal=True)})
    _cut(there, of, after)
    carry_out(there, of, Up())
    assert there.networks["demo_default"].spec.internal
    assert all(c.running and c.spec.endpoints for c in there.containers.values())
    assert there.names() == ["demo-db-1", "demo-web-1"]
    assert carry_out(there, of, Up()).steps == ()


def test_fifty_services_are_planned_in_one_pass_without_quadratic_text() -> None:
    of = project(*(service(f"s{i:02}", depends_on=[f"s{i - 1:02}"] if i else []) for i in range(50)))
    made = plan(of, engine().snapshot(), Up())
    assert len(made.steps) == 1 + 50 + 1 + 50
    assert max(len(s.after) for s in made.steps if s.id != "created") <= 2
