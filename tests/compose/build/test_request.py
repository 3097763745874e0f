"""``build:`` of a service to a request, and what the command line adds to it."""

from __future__ import annotations

import json

import pytest

from compose import build as builds
from compose.errors import ComposeError
from compose.model import Build, FileSource, Project, Service, ServiceFile, Ulimit
from compose.plan import BuildImage


def project(build: Build, *, environment: dict[str, str] | None = None, **service: object) -> Project:
    web = Service(name="web", build=build, **service)  # type: ignore[arg-type]
    base = Service(name="base", image="company/base:2", build=Build(context="/base"))
    secrets = {
        "token": FileSource(key="token", name="p_token", environment="TOKEN"),
        "file": FileSource(key="file", name="p_file", file="/run/key"),
        "far": FileSource(key="far", name="far", external=True),
    }
    return Project(name="p", working_dir="/w", services={"web": web, "base": base}, secrets=secrets, environment=environment or {})


def request(build: Build, options: builds.BuildOptions | None = None, **values: object) -> object:
    made = project(build, **values)  # type: ignore[arg-type]
    return builds.request(made, made.services["web"], build, options)


def test_names_labels_and_plain_attributes() -> None:
    limits = (Ulimit(name="nofile", soft=1, hard=2),)
    made = request(Build(context="/w/ctx", dockerfile="D", target="t", tags=("a:1", "b:2"), labels={"l": "v"}, shm_size=5, ulimits=limits))
    assert made.references == ("p-web", "a:1", "b:2")  # type: ignore[attr-defined]
    assert (
        made.labels["l"] == "v" and made.labels["com.docker.compose.project"] == "p" and made.labels["com.docker.compose.service"] == "web"
    )  # type: ignore[attr-defined]
    assert (made.context, made.dockerfile, made.target, made.shm_size, made.ulimits[0].hard) == ("/w/ctx", "D", "t", 5, 2)  # type: ignore[attr-defined]
    assert request(Build(context="/w"), image="own:3").references == ("own:3",)  # type: ignore[attr-defined]


def test_arguments_of_nothing_come_from_the_environment_or_go() -> None:
    build = Build(context="/w", args={"A": "1", "B": None, "C": None})
    options = builds.BuildOptions(arguments={"A": "2", "D": None}, no_cache=True, memory=7)
    made = request(build, options, environment={"B": "env", "D": "env too"})
    assert made.arguments == {"A": "2", "B": "env", "D": "env too"}  # type: ignore[attr-defined]
    assert made.no_cache and made.memory == 7 and not made.pull  # type: ignore[attr-defined]


def test_contexts_of_services_become_their_images() -> None:
    made = request(Build(context="/w", additional_contexts={"base": "service:base", "dir": "/x"}))
    assert made.contexts == {"base": "docker-image://company/base:2", "dir": "/x"}  # type: ignore[attr-defined]
    with pytest.raises(ComposeError, match="no such service: nope"):
        request(Build(context="/w", additional_contexts={"base": "service:nope"}))


def test_secrets_from_files_and_the_environment() -> None:
    build = Build(context="/w", secrets=(ServiceFile(source="token", target="id"), ServiceFile(source="file")))
    made = request(build, environment={"TOKEN": "t"})
    assert [(s.id, s.file, s.content) for s in made.secrets] == [("id", "", b"t"), ("file", "/run/key", None)]  # type: ignore[attr-defined]
    with pytest.raises(ComposeError, match="TOKEN is not set"):
        request(build)
    with pytest.raises(ComposeError, match="undefined secret none"):
        request(Build(context="/w", secrets=(ServiceFile(source="none"),)))
    with pytest.raises(ComposeError, match="external"):
        request(Build(context="/w", secrets=(ServiceFile(source="far"),)))


def test_proxies_and_trust_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYCOMPOSE_BUILD_TRUST_HOST_CA", raising=False)
    made = request(Build(context="/w"), environment={"http_proxy": "http://p", "PYCOMPOSE_BUILD_TRUST_HOST_CA": "1"})
    assert made.proxies["HTTP_PROXY"] == made.proxies["http_proxy"] == "http://p"  # type: ignore[attr-defined]
    assert made.trust_host_ca  # type: ignore[attr-defined]
    assert not request(Build(context="/w")).trust_host_ca  # type: ignore[attr-defined]


def test_the_service_s_platform_must_be_among_the_build_s() -> None:
    assert request(Build(context="/w"), platform="linux/amd64").platforms == ("linux/amd64",)  # type: ignore[attr-defined]
    with pytest.raises(ComposeError, match=r"must include service\.platform"):
        request(Build(context="/w", platforms=("linux/arm64",)), platform="linux/amd64")


def test_the_default_platform_counts_where_the_service_has_none() -> None:
    environment = {"DOCKER_DEFAULT_PLATFORM": "linux/arm64"}
    assert request(Build(context="/w"), environment=environment).platforms == ("linux/arm64",)  # type: ignore[attr-defined]
    assert request(Build(context="/w"), environment=environment, platform="linux/amd64").platforms == ("linux/amd64",)  # type: ignore[attr-defined]
    with pytest.raises(ComposeError, match='must include DOCKER_DEFAULT_PLATFORM "linux/arm64"'):
        request(Build(context="/w", platforms=("linux/amd64",)), environment=environment)


def test_a_step_of_a_plan_is_a_request() -> None:
    build = Build(context="/w", tags=("t:1",))
    made = builds.of_operation(BuildImage(service="web", reference="p-web", build=build, project="p", no_cache=True), project(build))
    assert made.references == ("p-web", "t:1") and made.no_cache


def test_bake_files_hold_what_was_asked_for() -> None:
    made = project(Build(context="/w", args={"A": "1"}, target="t"))
    found = json.loads(builds.bake({"web": builds.request(made, made.services["web"], made.services["web"].build)}))  # type: ignore[arg-type]
    assert found["target"]["web"]["args"] == {"A": "1"} and found["target"]["web"]["target"] == "t"
    assert found["group"]["default"]["targets"] == ["web"] and "dockerfile-inline" not in found["target"]["web"]
