from __future__ import annotations

from base64 import b64decode
from dataclasses import replace

import pytest

from compose.convert.books import AddressBook, PortBook
from compose.convert.container import Request, container_spec
from compose.convert.surroundings import Surroundings
from compose.errors import PlanError
from compose.intent import Up
from compose.model import (
    Build,
    Deploy,
    Device,
    DeviceRequest,
    FileSource,
    Healthcheck,
    Logging,
    Network,
    Port,
    Project,
    Service,
    ServiceFile,
    ServiceNetwork,
    ServiceVolume,
    Ulimit,
    Volume,
)
from compose.plan import CreateContainer
from compose.planner import plan
from runtime.spec import BindMount, ContainerSpec, FileMount, ImageMount, RestartPolicy, TmpfsMount, VolumeMount
from tests.fakes import carry_out, engine, image, project, service


def spec_of(of: Service | Project, name: str = "", **snapshot: object) -> ContainerSpec:
    """The spec of the first container that ``up`` makes for a service."""
    whole = project(of) if isinstance(of, Service) else of
    wanted = name or (of.name if isinstance(of, Service) else next(iter(whole.services)))
    made = plan(whole, engine().snapshot(**snapshot), Up())
    found = [s.operation.spec for s in made.steps if isinstance(s.operation, CreateContainer)]
    return next(s for s in found if s.labels["com.docker.compose.service"] == wanted)


def test_names_and_labels_are_docker_composes() -> None:
    of = project(service("web", labels={"own": "1"}, depends_on=["db"]), service("db"), env_files=("/srv/demo/.env",))
    spec = spec_of(of)
    assert spec.name == "demo-web-1"
    ours = {k.removeprefix("com.docker.compose."): v for k, v in spec.labels.items() if k.startswith("com.docker.compose.")}
    assert ours.pop("config-hash") == spec.config_hash
    assert ours.pop("image") == spec.image_id
    assert ours.pop("version")
    assert ours == {
        "project": "demo",
        "service": "web",
        "container-number": "1",
        "oneoff": "False",
        "depends_on": "db:service_started:false",
        "project.working_dir": "/srv/demo",
        "project.config_files": "/srv/demo/compose.yaml",
        "project.environment_file": "/srv/demo/.env",
    }
    assert spec.labels["own"] == "1"


def test_the_compatibility_flag_separates_names_by_underscores() -> None:
    made = plan(project(service("web", image="", build=Build(context="/x"))), engine().snapshot(), Up(compatibility=True))
    spec = next(s.operation.spec for s in made.steps if isinstance(s.operation, CreateContainer))
    assert (spec.name, spec.image) == ("demo_web_1", "demo_web")


def test_ids_follow_from_the_nonce_alone() -> None:
    of = project(service("web", volumes=(ServiceVolume(type="volume", target="/v"),)))
    one, two, other = (plan(of, engine().snapshot(nonce=n), Up()) for n in ("a", "a", "b"))
    assert one == two
    assert one != other


def test_scalar_attributes_arrive() -> None:
    spec = spec_of(
        service(
            "web",
            command=("run",),
            entrypoint=(),
            user="app",
            working_dir="/w",
            hostname="h",
            domainname="d",
            init=True,
            tty=True,
            stdin_open=True,
            privileged=True,
            read_only=True,
            cap_add=("NET_ADMIN",),
            cap_drop=("ALL",),
            sysctls={"net.core.somaxconn": "1"},
            ulimits=(Ulimit(name="nofile", soft=1, hard=2),),
            shm_size=1 << 20,
            stop_signal="SIGINT",
            stop_grace_period=1.5,
            dns=("1.1.1.1",),
            dns_search=("x",),
            dns_opt=("ndots:2",),
            group_add=("5",),
            oom_score_adj=100,
            cgroup="host",
            cgroup_parent="/p",
            platform="linux/amd64",
            expose=("80",),
            annotations={"a": "b"},
            logging=Logging(driver="local", options={"max-size": "1m"}),
            userns_mode="host",
            environment={"A": "1", "B": None},
        )
    )
    assert (spec.command, spec.entrypoint, spec.user, spec.working_dir) == (("run",), (), "app", "/w")
    assert (spec.hostname, spec.domainname, spec.init, spec.tty, spec.stdin_open) == ("h", "d", True, True, True)
    assert (spec.privileged, spec.read_only, spec.cap_add, spec.cap_drop) == (True, True, ("NET_ADMIN",), ("ALL",))
    assert (spec.shm_size, spec.stop_signal, spec.stop_grace_period, spec.platform) == (1 << 20, "SIGINT", 1.5, "linux/amd64")
    assert (spec.dns, spec.dns_search, spec.dns_opt, spec.group_add) == (("1.1.1.1",), ("x",), ("ndots:2",), ("5",))
    assert (spec.cgroup_mode, spec.cgroup_parent, spec.oom_score_adj, spec.userns_mode) == ("host", "/p", 100, "host")
    assert (spec.logging.driver, dict(spec.logging.options)) == ("local", {"max-size": "1m"})
    assert spec.ulimits[0].hard == 2
    assert dict(spec.environment) == {"A": "1", "B": None}


def test_defaults_leave_everything_to_the_image() -> None:
    spec = spec_of(service("web"))
    inherited = (spec.command, spec.entrypoint, spec.user, spec.working_dir, spec.stop_signal, spec.healthcheck)
    assert inherited == (None,) * 6
    assert spec.stop_grace_period == 10
    assert spec.logging.driver == "json-file"


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, RestartPolicy()),
        ({"restart": "no"}, RestartPolicy()),
        ({"restart": "on-failure:3"}, RestartPolicy(name="on-failure", maximum_retry_count=3)),
        (
            {"restart": "always", "deploy": Deploy(restart_condition="on-failure", restart_max_attempts=2)},
            RestartPolicy(name="on-failure", maximum_retry_count=2),
        ),
        ({"restart": "always", "deploy": Deploy(restart_condition="none")}, RestartPolicy()),
        ({"deploy": Deploy(restart_condition="any")}, RestartPolicy(name="always")),
        ({"restart": "always", "deploy": Deploy(replicas=1)}, RestartPolicy(name="always")),
    ],
)
def test_restart_policies(attributes: dict[str, object], expected: RestartPolicy) -> None:
    assert spec_of(service("web", **attributes)).restart == expected


@pytest.mark.parametrize("word", ["bogus", "yes", "always:3", "on-failure:x"])
def test_a_word_that_is_no_restart_policy_is_refused(word: str) -> None:
    with pytest.raises(PlanError, match=f"services.web.restart: invalid restart policy '{word}'"):
        spec_of(service("web", restart=word))


def test_limits_of_deploy_stand_in_for_the_services_own() -> None:
    limits = spec_of(service("web", deploy=Deploy(cpus=0.5, memory=1 << 30, pids=10, reservation_memory=1 << 20))).resources
    assert (limits.cpus, limits.memory, limits.pids, limits.memory_reservation) == (0.5, 1 << 30, 10, 1 << 20)
    own = spec_of(service("web", cpus=2.0, mem_limit=5, memswap_limit=-1, pids_limit=-1)).resources
    assert (own.cpus, own.memory, own.memory_swap, own.pids) == (2.0, 5, -1, -1)


def test_health_checks() -> None:
    assert spec_of(service("web", healthcheck=Healthcheck(disable=True))).healthcheck.test == ("NONE",)  # type: ignore[union-attr]
    check = spec_of(service("web", healthcheck=Healthcheck(interval=1.0, start_period=2.0, start_interval=0.1))).healthcheck
    assert (check.test, check.interval, check.start_interval) == (None, 1.0, 0.1)  # type: ignore[union-attr]
    with pytest.raises(PlanError, match=r"start_interval requires healthcheck.start_period"):
        spec_of(service("web", healthcheck=Healthcheck(start_interval=1.0)))


def test_mounts_of_every_type() -> None:
    volumes = (
        ServiceVolume(type="bind", source="/host", target="/b", read_only=True, create_host_path=True, propagation="rslave", selinux="z"),
        ServiceVolume(type="volume", source="data", target="/v", nocopy=True, subpath="s"),
        ServiceVolume(type="volume", target="/anon"),
        ServiceVolume(type="tmpfs", target="/t", tmpfs_size=10, tmpfs_mode=0o700),
        ServiceVolume(type="image", source="alpine", target="/i", subpath="etc"),
    )
    of = project(
        service("web", volumes=volumes, tmpfs=("/run:size=64m,mode=1777,noexec,uid=5",)), volumes=[Volume(key="data", name="demo_data")]
    )
    bind, volume, anonymous, tmpfs, other, short = spec_of(of).mounts
    assert bind == BindMount(
        source="/host", target="/b", read_only=True, create_source=True, propagation="rslave", selinux="z", origin="services.web.volumes[0]"
    )
    assert isinstance(volume, VolumeMount)
    assert (volume.volume, volume.nocopy, volume.subpath, volume.anonymous) == ("demo_data", True, "s", False)
    assert isinstance(anonymous, VolumeMount)
    assert anonymous.anonymous
    assert len(anonymous.volume) == 64
    assert tmpfs == TmpfsMount(target="/t", size=10, mode=0o700, origin="services.web.volumes[3]")
    assert other == ImageMount(image="alpine", target="/i", subpath="etc", origin="services.web.volumes[4]")
    assert short == TmpfsMount(target="/run", size=64 << 20, mode=0o1777, options=("noexec", "uid=5"), origin="services.web.tmpfs[0]")


def test_paths_of_windows_are_converted_when_asked_for() -> None:
    sources = ("C:\\data\\x", "d:/y", "/plain", "c:relative")
    web = service("web", volumes=tuple(ServiceVolume(type="bind", source=s, target=f"/t{i}") for i, s in enumerate(sources)))
    for value, expected in (("1", ("/c/data/x", "/d/y", "/plain", "c:relative")), ("", sources)):
        of = replace(project(web), environment={"COMPOSE_CONVERT_WINDOWS_PATHS": value})
        assert tuple(m.source for m in spec_of(of).mounts if isinstance(m, BindMount)) == expected


def test_volumes_of_the_image_become_anonymous_ones_unless_something_is_mounted_there() -> None:
    images = {"busybox": image("busybox", volumes=("/data", "/cache/"))}
    of = service("web", volumes=(ServiceVolume(type="bind", source="/x", target="/cache"),))
    mounts = spec_of(of, images=images).mounts
    assert [(m.kind, m.target) for m in mounts] == [("bind", "/cache"), ("volume", "/data")]


def test_borrowed_volumes_keep_their_owner_and_honour_read_only() -> None:
    of = project(
        service("db", volumes=(ServiceVolume(type="volume", target="/data"), ServiceVolume(type="bind", source="/h", target="/own"))),
        service("web", volumes_from=("db:ro",), volumes=(ServiceVolume(type="tmpfs", target="/own"),)),
    )
    lent, (own, borrowed) = spec_of(of, "db").mounts[0], spec_of(of, "web").mounts
    assert isinstance(own, TmpfsMount)
    assert isinstance(lent, VolumeMount)
    assert borrowed == replace(lent, read_only=True, anonymous=False)


def test_configs_and_secrets() -> None:
    of = project(
        service(
            "web",
            configs=(ServiceFile(source="inline", mode=0o440, uid="5"), ServiceFile(source="plain", target="/etc/plain")),
            secrets=(ServiceFile(source="token"), ServiceFile(source="token", target="other"), ServiceFile(source="token", target="/abs")),
        ),
        configs={
            "inline": FileSource(key="inline", name="demo_inline", content="text é"),
            "plain": FileSource(key="plain", name="demo_plain", file="/srv/demo/plain"),
        },
        secrets={"token": FileSource(key="token", name="demo_token", environment="TOKEN", content="s3cret")},
    )
    inline, plain, *secrets = spec_of(of).mounts
    assert isinstance(inline, FileMount)
    assert (inline.target, inline.mode, inline.uid, inline.gid, inline.secret) == ("/inline", 0o440, "5", "0", False)
    assert b64decode(inline.content).decode() == "text é"
    assert plain == BindMount(source="/srv/demo/plain", target="/etc/plain", read_only=True, origin="services.web.configs[1]")
    assert [s.target for s in secrets] == ["/run/secrets/token", "/run/secrets/other", "/abs"]
    assert all(isinstance(s, FileMount) and s.secret and s.mode == 0o444 for s in secrets)


def test_a_file_with_an_owner_is_copied_when_the_loader_read_it_and_told_otherwise() -> None:
    def of(content: str | None) -> Project:
        source = FileSource(key="c", name="demo_c", file="/srv/c", content=content)
        return project(service("web", configs=(ServiceFile(source="c", uid="33"),)), configs={"c": source})

    copied = spec_of(of("x")).mounts[0]
    assert isinstance(copied, FileMount)
    assert copied.uid == "33"
    made = plan(of(None), engine().snapshot(), Up())
    assert made.warnings == ("services.web.configs[0]: uid, gid and mode are those of /srv/c: it is mounted, not copied",)


def test_sources_that_are_not_there_are_refused() -> None:
    unset = FileSource(key="t", name="demo_t", environment="TOKEN")
    with pytest.raises(PlanError, match=r'environment variable "TOKEN" required by secret "t" is not set'):
        spec_of(project(service("web", secrets=(ServiceFile(source="t"),)), secrets={"t": unset}))
    external = replace(unset, external=True)
    with pytest.raises(PlanError, match=r"unsupported external secret t"):
        spec_of(project(service("web", secrets=(ServiceFile(source="t"),)), secrets={"t": external}))


def test_endpoints_have_addresses_aliases_and_order() -> None:
    of = project(
        service(
            "web",
            mac_address="02:00:00:00:00:99",
            networks=(
                ServiceNetwork(network="back", aliases=("w", "w")),
                ServiceNetwork(network="front", priority=10, gw_priority=1, interface_name="web0"),
            ),
        ),
        networks=[Network(key="back", name="demo_back"), Network(key="front", name="demo_front", enable_ipv6=True)],
    )
    spec = spec_of(of)
    front, back = spec.endpoints
    assert (front.network, back.network) == ("demo_front", "demo_back")
    assert (front.mac, front.interface, front.gw_priority) == ("02:00:00:00:00:99", "web0", 1)
    assert back.aliases == ("web", "w", spec.id[:12])
    assert front.ipv6 is not None
    assert back.ipv6 is None
    assert back.mac != front.mac


def test_dynamic_addresses_avoid_static_ones_gateways_and_each_other() -> None:
    from compose.model import IpamPool

    pool = IpamPool(subnet="10.9.0.0/29", aux_addresses={"x": "10.9.0.4"})
    net = Network(key="default", name="demo_default", ipam=(pool,))
    fixed = service("b", networks=(ServiceNetwork(network="default", ipv4_address="10.9.0.2"),))
    of = replace(project(service("a", scale=2), fixed), networks={"default": net})
    made = plan(of, engine().snapshot(), Up())
    addresses = [s.operation.spec.endpoints[0].ipv4 for s in made.steps if isinstance(s.operation, CreateContainer)]
    assert sorted(filter(None, addresses)) == ["10.9.0.2", "10.9.0.3", "10.9.0.5"]


def test_a_static_address_outside_the_network_is_refused() -> None:
    of = service("web", networks=(ServiceNetwork(network="default", ipv4_address="10.1.2.3"),))
    with pytest.raises(PlanError, match=r"address 10.1.2.3 is in no subnet of network demo_default \(172\.17\.0\.0/16\)"):
        spec_of(of)


def test_a_static_address_cannot_go_to_two_replicas() -> None:
    from compose.model import IpamPool

    net = Network(key="default", name="demo_default", ipam=(IpamPool(subnet="10.9.0.0/24"),))
    web = service("web", scale=2, networks=(ServiceNetwork(network="default", ipv4_address="10.9.0.5"),))
    with pytest.raises(PlanError, match=r"Address already in use: 10.9.0.5 belongs to container demo-web-1"):
        spec_of(replace(project(web), networks={"default": net}))


def test_shared_namespaces_name_the_donors_container() -> None:
    of = project(service("db"), service("web", network_mode="service:db", pid="service:db", ipc="shareable", uts="host"))
    donor, spec = spec_of(of, "db"), spec_of(of, "web")
    assert (spec.network_mode, spec.pid_mode, spec.ipc_mode, spec.uts_mode) == (f"container:{donor.id}",) * 2 + ("shareable", "host")
    assert spec.endpoints == ()


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"network_mode": "service:db"}, "cannot share network namespace with service db: container missing"),
        ({"ipc": "nosuch"}, "invalid IPC mode: nosuch"),
        ({"ipc": "service:db"}, "cannot share IPC namespace with service db: container missing"),
        ({"volumes_from": ("db",)}, "cannot share volume with service db: container missing"),
        ({"pid": "container:gone"}, "No such container: gone"),
    ],
)
def test_a_missing_donor_is_refused(attributes: dict[str, object], message: str) -> None:
    of = project(service("db"), service("web", **attributes))
    with pytest.raises(PlanError, match=message):
        plan(of, engine().snapshot(), Up(services=("web",), no_deps=True))


def test_containers_of_other_projects_can_be_donors_and_link_targets() -> None:
    there = engine(project="other")
    carry_out(there, replace(project(service("db")), name="other"), Up())
    neighbour = there.containers[next(iter(there.containers))]
    joined = service("web", network_mode=f"container:{neighbour.spec.name}", external_links=(f"{neighbour.spec.name}:ext",))
    spec = spec_of(joined, neighbours={neighbour.spec.name: neighbour})
    assert spec.network_mode == f"container:{neighbour.spec.id}"
    assert [(link.container, link.alias) for link in spec.links] == [(neighbour.spec.name, "ext")]


def test_host_and_none_have_no_endpoints_and_drop_ports() -> None:
    made = plan(project(service("web", network_mode="host", ports=(Port(target=80, published="80"),))), engine().snapshot(), Up())
    spec = next(s.operation.spec for s in made.steps if isinstance(s.operation, CreateContainer))
    assert (spec.network_mode, spec.endpoints, spec.ports) == ("host", (), ())
    assert made.warnings == ("services.web.ports: published ports are discarded with network_mode host",)
    assert [s.id for s in made.steps] == ["web-1.create", "web-1.start"]


def test_network_mode_bridge_makes_the_shared_bridge_without_names() -> None:
    made = plan(project(service("web", network_mode="bridge")), engine().snapshot(), Up())
    assert [s.id for s in made.steps] == ["net:bridge", "web-1.create", "web-1.start"]
    spec = next(s.operation.spec for s in made.steps if isinstance(s.operation, CreateContainer))
    assert (spec.network_mode, spec.endpoints[0].network, spec.endpoints[0].aliases) == ("bridge", "bridge", ())


def test_an_external_network_named_host_is_the_hosts() -> None:
    net = Network(key="h", name="host", external=True)
    spec = spec_of(project(service("web", networks=(ServiceNetwork(network="h"),)), networks=[net]))
    assert (spec.network_mode, spec.endpoints) == ("host", ())


def test_links_give_names_and_the_variables_of_old() -> None:
    images = {"busybox": image("busybox", exposed_ports=("5432/tcp",))}
    of = project(
        service("db", scale=2, environment={"USER": "u"}, expose=("9000-9001/udp",)),
        service("web", links=("db:data-base",), environment={"DATA_BASE_NAME": "mine"}),
    )
    spec, db = spec_of(of, "web", images=images), spec_of(of, "db", images=images)
    assert [(link.container, link.alias) for link in spec.links] == [
        ("demo-db-1", "data-base"),
        ("demo-db-1", "db-1"),
        ("demo-db-1", "demo-db-1"),
        ("demo-db-2", "data-base"),
        ("demo-db-2", "db-2"),
        ("demo-db-2", "demo-db-2"),
    ]
    ip = db.endpoints[0].ipv4
    assert spec.environment["DATA_BASE_PORT"] == f"tcp://{ip}:5432"
    assert spec.environment["DATA_BASE_PORT_5432_TCP"] == f"tcp://{ip}:5432"
    assert spec.environment["DATA_BASE_PORT_5432_TCP_ADDR"] == ip
    assert spec.environment["DATA_BASE_PORT_5432_TCP_PORT"] == "5432"
    assert spec.environment["DATA_BASE_PORT_9001_UDP_PROTO"] == "udp"
    assert spec.environment["DATA_BASE_ENV_USER"] == "u"
    assert spec.environment["DATA_BASE_NAME"] == "mine"


def test_without_links_there_are_no_such_variables() -> None:
    of = project(service("db", expose=("1",)), service("web", depends_on=["db"]))
    assert dict(spec_of(of, "web").environment) == {}


def test_host_gateway_is_the_gateway_of_the_first_network() -> None:
    spec = spec_of(service("web", extra_hosts=(("host.docker.internal", "host-gateway"), ("a", "1.2.3.4"))))
    assert spec.extra_hosts == (("host.docker.internal", "172.17.0.1"), ("a", "1.2.3.4"))


def test_security_options_and_a_seccomp_profile() -> None:
    spec = spec_of(service("web", security_opt=("no-new-privileges:true", 'seccomp={"defaultAction":"SCMP_ACT_ALLOW"}')))
    assert spec.security_opt == ("no-new-privileges:true",)
    assert spec.seccomp_profile == '{"defaultAction":"SCMP_ACT_ALLOW"}'
    assert spec_of(service("web", security_opt=("seccomp=unconfined",))).seccomp_profile == "unconfined"
    assert spec_of(service("web", security_opt=("seccomp:builtin",))).seccomp_profile is None
    assert spec_of(service("web")).seccomp_profile is None
    with pytest.raises(PlanError, match=r"opening seccomp profile \(x\.json\) failed"):
        spec_of(service("web", security_opt=("seccomp=x.json",)))


def test_what_cannot_be_honoured_is_said_once() -> None:
    web = service(
        "web",
        scale=2,
        gpus=(DeviceRequest(count=-1),),
        runtime="kata",
        storage_opt={"size": "1G"},
        devices=(Device(source="vendor.com/class=dev"), Device(source="/dev/fuse")),
    )
    made = plan(project(web), engine().snapshot(), Up())
    assert [w.split(":")[0] for w in made.warnings] == [f"services.web.{a}" for a in ("gpus", "storage_opt", "runtime", "devices")]
    assert all("not supported, ignored" in w for w in made.warnings)
    assert [d.target for d in spec_of(web).devices] == ["/dev/fuse"]


def test_an_unknown_network_driver_is_refused() -> None:
    with pytest.raises(PlanError, match=r"networks.default.driver: overlay is not supported"):
        spec_of(replace(project(service("web")), networks={"default": Network(key="default", name="demo_default", driver="overlay")}))


def test_network_options_are_decoded() -> None:
    options = {
        "com.docker.network.driver.mtu": "1400",
        "com.docker.network.bridge.enable_icc": "false",
        "com.docker.network.bridge.name": "mine0",
    }
    net = Network(key="default", name="demo_default", driver_opts=options, internal=True)
    made = plan(replace(project(service("web")), networks={"default": net}), engine().snapshot(), Up())
    spec = made.steps[0].operation.network  # type: ignore[union-attr]
    assert (spec.mtu, spec.icc, spec.bridge, spec.internal) == (1400, False, "mine0", True)
    with pytest.raises(PlanError, match=r"is not a number"):
        plan(
            replace(project(service("web")), networks={"default": replace(net, driver_opts={"com.docker.network.driver.mtu": "big"})}),
            engine().snapshot(),
            Up(),
        )


def test_subnets_avoid_routes_and_each_other() -> None:
    of = project(
        service("web", networks=(ServiceNetwork(network="a"), ServiceNetwork(network="b"))),
        networks=[Network(key="a", name="demo_a"), Network(key="b", name="demo_b")],
    )
    made = plan(of, engine().snapshot(routes=("172.17.0.0/16", "172.18.5.0/24", "0.0.0.0/0")), Up())
    subnets = [s.operation.network.subnets[0].subnet for s in made.steps if s.id.startswith("net:")]  # type: ignore[union-attr]
    assert subnets == ["172.19.0.0/16", "172.20.0.0/16"]


def test_a_request_can_be_made_without_a_plan() -> None:
    whole = project(service("web", network_mode="none"))
    snapshot = engine().snapshot()
    at = Surroundings(project=whole, snapshot=snapshot, addresses=AddressBook(snapshot), ports=PortBook(snapshot, ()))
    assert container_spec(at, whole.services["web"], Request(id="0" * 64, name="x")).name == "x"
