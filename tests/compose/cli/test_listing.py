"""What ps, images and stats show, on hand-made states; the expected texts are Docker's own."""

from __future__ import annotations

import pytest

from compose.cli import human, listing, table
from compose.cli.ports import display, publishers
from compose.cli.template import Template
from compose.errors import UsageError
from runtime.spec import BindMount, ContainerSpec, EndpointSpec, ImageConfig, PortSpec, VolumeMount
from runtime.state import ContainerState, Health, HealthState, ProcessState, Status

SECOND = 1_000_000_000
NOW = 1_795_000_000 * SECOND
PUBLISHED = (
    PortSpec(container_port=80, host_port=18801, host_ip="127.0.0.1"),
    PortSpec(container_port=81, host_port=18802, protocol="udp"),
    PortSpec(container_port=80, host_port=32769),
    PortSpec(container_port=90, host_port=18810),
    PortSpec(container_port=91, host_port=18811),
)


def state(process: ProcessState | None = None, **spec: object) -> ContainerState:
    labels = {"com.docker.compose.service": "web", "com.docker.compose.container-number": "1", "com.docker.compose.project": "cli-a"}
    base: dict[str, object] = {"id": "ab" * 32, "name": "cli-a-web-1", "project": "cli-a", "image": "busybox:latest", "labels": labels}
    running = ProcessState(status=Status.RUNNING, started_at=NOW - 3 * SECOND)
    return ContainerState(
        spec=ContainerSpec(**{**base, **spec}),  # type: ignore[arg-type]
        process=process or running,
        image=ImageConfig(command=("sh",), exposed_ports=("99/tcp",)),
        created_at=NOW - 130 * SECOND,
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.4, "Less than a second"),
        (1.9, "1 second"),
        (59, "59 seconds"),
        (60, "About a minute"),
        (119, "About a minute"),
        (120, "2 minutes"),
        (3600, "About an hour"),
        (2.6 * 3600, "3 hours"),
        (47 * 3600, "47 hours"),
        (72 * 3600, "3 days"),
        (15 * 86400, "2 weeks"),
        (90 * 86400, "3 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_durations_read_as_dockers(seconds: float, words: str) -> None:
    assert human.duration(seconds) == words


@pytest.mark.parametrize(("count", "words"), [(0, "0B"), (126, "126B"), (1060, "1.06kB"), (1984172, "1.98MB"), (123456789, "123MB")])
def test_sizes_are_decimal(count: int, words: str) -> None:
    assert human.size(count) == words


@pytest.mark.parametrize(("count", "words"), [(475136, "464KiB"), (25275498496, "23.54GiB"), (0, "0B")])
def test_memory_is_binary(count: int, words: str) -> None:
    assert human.memory(count) == words


@pytest.mark.parametrize(
    ("process", "words"),
    [
        (ProcessState(status=Status.RUNNING, started_at=NOW - 3 * SECOND), "Up 3 seconds"),
        (
            ProcessState(status=Status.RUNNING, started_at=NOW - 3 * SECOND, health=HealthState(status=Health.HEALTHY)),
            "Up 3 seconds (healthy)",
        ),
        (
            ProcessState(status=Status.RUNNING, started_at=NOW - 3 * SECOND, health=HealthState(status=Health.STARTING)),
            "Up 3 seconds (health: starting)",
        ),
        (ProcessState(status=Status.PAUSED, started_at=NOW - 44 * SECOND), "Up 44 seconds (Paused)"),
        (ProcessState(status=Status.EXITED, exit_code=137, finished_at=NOW), "Exited (137) Less than a second ago"),
        (ProcessState(status=Status.RESTARTING, exit_code=1, finished_at=NOW - SECOND), "Restarting (1) 1 second ago"),
        (ProcessState(), "Created"),
    ],
)
def test_status_column(process: ProcessState, words: str) -> None:
    assert listing.status(state(process), NOW) == words


def test_ports_are_grouped_as_docker_groups_them() -> None:
    expected = "99/tcp, 0.0.0.0:32769->80/tcp, 127.0.0.1:18801->80/tcp, [::]:32769->80/tcp, 0.0.0.0:18802->81/udp, [::]:18802->81/udp"
    assert display(state(ports=PUBLISHED)).startswith(expected)
    same = tuple(PortSpec(container_port=p, host_port=p, host_ip="0.0.0.0") for p in (80, 81, 82, 90))
    assert display(state(ports=same)) == "0.0.0.0:80-82->80-82/tcp, 0.0.0.0:90->90/tcp, 99/tcp"


def test_a_stopped_container_shows_no_ports() -> None:
    assert display(state(ProcessState(status=Status.EXITED), ports=PUBLISHED)) == ""
    assert publishers(state(ProcessState(status=Status.EXITED), ports=PUBLISHED)) == []


def test_publishers_end_with_the_unpublished() -> None:
    assert publishers(state(ports=PUBLISHED))[-1] == {"URL": "", "TargetPort": 99, "PublishedPort": 0, "Protocol": "tcp"}
    assert len(publishers(state(ports=PUBLISHED))) == 10


def test_command_is_quoted_and_cut() -> None:
    shown = state(command=("sh", "-c", 'printf "line1\nlast"; sleep 1000'))
    assert listing.row(shown, NOW)["Command"] == '"sh -c \'printf \\"line…"'
    assert listing.row(shown, NOW, truncate=False)["Command"] == '"sh -c \'printf \\"line1\\nlast\\"; sleep 1000\'"'


def test_an_own_entrypoint_drops_the_images_command() -> None:
    assert listing.command(state(entrypoint=("true",))) == "true"
    assert listing.command(state()) == "sh"


def test_json_has_dockers_keys() -> None:
    keys = [
        "Command",
        "CreatedAt",
        "ExitCode",
        "Health",
        "ID",
        "Image",
        "Labels",
        "LocalVolumes",
        "Mounts",
        "Name",
        "Names",
        "Networks",
        "Ports",
        "Project",
        "Publishers",
        "RunningFor",
        "Service",
        "Size",
        "State",
        "Status",
    ]
    mounts = (VolumeMount(volume="5664ff416209a7aabb", target="/anon"), BindMount(source="/project/a/x", target="/x"))
    row = listing.row(state(mounts=mounts, endpoints=(EndpointSpec(network="cli-a_default"),)), NOW)
    assert sorted(row) == keys
    assert row["Mounts"] == "5664ff416209a7…,/project/a/x"
    assert (row["LocalVolumes"], row["Networks"], row["RunningFor"]) == ("1", "cli-a_default", "2 minutes ago")


def test_columns_are_as_wide_as_dockers() -> None:
    rows = [["DRIVER", "VOLUME NAME"], ["local", "cli-a_data"]]
    assert table.aligned(rows) == "DRIVER    VOLUME NAME\nlocal     cli-a_data\n"
    assert table.aligned([["NAME", "STATUS", "CONFIG FILES"]], minimum=20) == "NAME                STATUS              CONFIG FILES\n"


def test_templates() -> None:
    row = {"Name": "web", "State": "running", "Labels": "a=1,b=2", "Publishers": []}
    assert Template.parse("{{.Name}}: {{ .State | upper }}").render(row) == "web: RUNNING"
    assert Template.parse('{{.Label "b"}} {{json .Name}}').render(row) == '2 "web"'
    assert table.formatted([row], "table {{.Name}}\\t{{.State}}", columns={"Name": "NAME", "State": "STATE"}) == (
        "NAME      STATE\nweb       running\n"
    )
    assert table.formatted([row], "json", columns={}) == '{"Labels":"a=1,b=2","Name":"web","Publishers":[],"State":"running"}\n'


@pytest.mark.parametrize("text", ["{{.Nmae}}", "{{frobnicate .Name}}", "{{.Name", "{{}}"])
def test_wrong_templates_are_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Template.parse(text).render({"Name": "x"})
