"""``run``: one container of a service beside its replicas."""

from __future__ import annotations

import re
from dataclasses import replace

from compose.intent import Run, Up
from compose.model import Dependency, Deploy, Port, ServiceNetwork, ServiceVolume, Volume
from compose.planner import one_off, plan
from runtime.spec import RestartPolicy
from runtime.state import Health
from tests.fakes import carry_out, engine, project, service

WEB = service(
    "web",
    depends_on=[Dependency(service="db", condition="service_healthy")],
    command=("serve",),
    entrypoint=("entry",),
    ports=(Port(target=80, published="8080"),),
    restart="always",
    container_name="theweb",
    environment={"A": "1"},
    networks=(ServiceNetwork(network="default", aliases=("www",)),),
    tty=True,
)
OF = project(WEB, service("db"), service("sibling"))


def test_dependencies_start_and_are_awaited_siblings_do_not() -> None:
    there = engine(health={"db": Health.HEALTHY})
    made = carry_out(there, OF, Run(service="web", command=("sh",)))
    spec = one_off(made)
    assert there.names() == sorted(["demo-db-1", spec.name])
    assert there.log[-3:] == ["await-healthy demo-db-1", f"create {spec.name}", f"start {spec.name}"]


def test_it_has_a_name_labels_and_life_of_its_own() -> None:
    spec = one_off(plan(OF, engine().snapshot(), Run(service="web", command=("sh",))))
    assert re.fullmatch(r"demo-web-run-[0-9a-f]{12}", spec.name)
    labels = {k.removeprefix("com.docker.compose."): v for k, v in spec.labels.items()}
    assert labels["oneoff"] == "True"
    assert labels["slug"].startswith(spec.name[-12:])
    assert len(labels["slug"]) == 64
    assert "container-number" not in labels
    assert (spec.command, spec.entrypoint, spec.ports) == (("sh",), ("entry",), ())
    assert spec.restart == RestartPolicy()
    assert spec.endpoints[0].aliases == (spec.id[:12],)
    assert (spec.tty, spec.auto_remove) == (False, False)


def test_restart_policies_of_deploy_are_dropped_too() -> None:
    web = replace(WEB, deploy=Deploy(restart_condition="any", memory=5))
    spec = one_off(plan(project(web, service("db")), engine().snapshot(), Run(service="web")))
    assert spec.restart == RestartPolicy()
    assert spec.resources.memory == 5


def test_overrides() -> None:
    intent = Run(
        service="web",
        entrypoint=("bash",),
        name="mine",
        environment={"B": "2", "A": None},
        labels={"l": "1"},
        user="u",
        working_dir="/w",
        volumes=(ServiceVolume(type="bind", source="/h", target="/c"),),
        publish=(Port(target=90, published="9090"),),
        service_ports=True,
        use_aliases=True,
        cap_add=("NET_ADMIN",),
        tty=True,
        stdin_open=True,
        remove=True,
        start=False,
    )
    made = plan(OF, engine().snapshot(), intent)
    spec = one_off(made)
    assert (spec.name, spec.entrypoint, spec.command, spec.user, spec.working_dir) == ("mine", ("bash",), None, "u", "/w")
    assert dict(spec.environment) == {"A": None, "B": "2"}
    assert [(p.host_port, p.container_port) for p in spec.ports] == [(8080, 80), (9090, 90)]
    assert spec.endpoints[0].aliases == ("web", "www", spec.id[:12])
    assert (spec.tty, spec.stdin_open, spec.auto_remove, spec.labels["l"], spec.cap_add) == (True, True, True, "1", ("NET_ADMIN",))
    assert [m.target for m in spec.mounts] == ["/c"]
    assert not any(s.id == "web-run.start" for s in made.steps)


def test_without_dependencies_nothing_else_is_touched() -> None:
    there = engine()
    carry_out(there, OF, Run(service="web", no_deps=True))
    assert [v.split()[0] for v in there.log] == ["create-network", "create", "start"]


def test_replicas_that_run_go_on() -> None:
    there = engine(health={"db": Health.HEALTHY})
    carry_out(there, OF, Up())
    made = carry_out(there, OF, Run(service="web"))
    assert [v.split()[0] for v in there.log] == ["create", "start"]
    assert [link.alias for link in one_off(made).links][:1] == ["web"]


def test_a_named_volume_of_the_flag_is_made() -> None:
    of = replace(OF, volumes={"data": Volume(key="data", name="demo_data")})
    there = engine(health={"db": Health.HEALTHY})
    carry_out(there, of, Run(service="web", volumes=(ServiceVolume(type="volume", source="data", target="/d"),)))
    assert "demo_data" in there.volumes


def test_two_runs_have_two_names() -> None:
    there = engine()
    first, second = (one_off(plan(OF, there.snapshot(), Run(service="web"))) for _ in range(2))
    assert first.name != second.name
    assert first.id != second.id
