"""The first stage: pulls, builds and providers before containers are planned."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compose.errors import PlanError
from compose.intent import Build as BuildIntent
from compose.intent import Create, Pull, Run, Scale, Up
from compose.model import Build, Hook, Provider, ServiceVolume
from compose.plan import BuildImage, Plan, PullImage
from compose.planner import image_references, neighbour_names, plan, plan_images, with_provider_variables
from tests.fakes import engine, image, project, service

SECOND = 10**9


def pulled(made: Plan) -> list[str]:
    return [s.operation.reference for s in made.steps if isinstance(s.operation, PullImage)]


def built(made: Plan) -> list[str]:
    return [s.operation.reference for s in made.steps if isinstance(s.operation, BuildImage)]


def test_what_is_there_needs_nothing() -> None:
    assert plan_images(project(service("web")), engine().snapshot(), Up()).steps == ()


def test_what_is_missing_is_pulled_once() -> None:
    of = project(service("a", image="x"), service("b", image="x"), service("c"))
    made = plan_images(of, engine().snapshot(), Up())
    assert pulled(made) == ["x"]
    step = made.steps[0]
    assert (step.id, step.resource, step.doing, step.done, step.cause) == ("image:x.pull", "Image x", "Pulling", "Pulled", "not there")


@pytest.mark.parametrize(
    ("policy", "there", "expected"),
    [
        ("", True, False), ("", False, True), ("missing", True, False), ("always", True, True), ("never", False, False),
        ("daily", True, True), ("weekly", True, False), ("every_12h", True, True), ("every_3d", True, False), ("every_1w1d", True, False),
    ],
)  # fmt: skip
def test_pull_policies(policy: str, there: bool, expected: bool) -> None:
    two_days = 2 * 86400 * SECOND
    images = {"busybox": image("busybox")} if there else {}
    made = plan_images(project(service("web", pull_policy=policy)), engine(images=images).snapshot(now=two_days), Up())
    assert bool(pulled(made)) is expected


def test_the_flag_beats_the_services_policy() -> None:
    of = project(service("web", pull_policy="always"))
    assert pulled(plan_images(of, engine().snapshot(), Up(pull="never"))) == []
    assert pulled(plan_images(of, engine().snapshot(), Up(pull="policy"))) == ["busybox"]
    assert pulled(plan_images(project(service("web")), engine().snapshot(), Create(pull="always"))) == ["busybox"]


@pytest.mark.parametrize("policy", ["sometimes", "every_soon"])
def test_a_word_that_is_no_policy_is_refused(policy: str) -> None:
    with pytest.raises(PlanError, match=r"services\.web\.pull_policy"):
        plan_images(project(service("web", pull_policy=policy)), engine().snapshot(), Up())


BUILT = service("app", image="", build=Build(context="/app"))


def test_builds_happen_when_missing_or_asked_for() -> None:
    there = engine()
    assert built(plan_images(project(BUILT), there.snapshot(), Up())) == ["demo-app"]
    assert built(plan_images(project(BUILT), there.snapshot(), Up(no_build=True))) == []
    there.images["demo-app"] = image("demo-app")
    assert built(plan_images(project(BUILT), there.snapshot(), Up())) == []
    assert built(plan_images(project(BUILT), there.snapshot(), Up(build=True))) == ["demo-app"]
    assert built(plan_images(project(service("app", build=Build(context="/a"), pull_policy="build")), there.snapshot(), Up())) == [
        "busybox"
    ]


def test_an_image_that_can_be_pulled_or_built_is_asked_for_first() -> None:
    both = project(service("app", image="mine", build=Build(context="/app")))
    (step,) = plan_images(both, engine().snapshot(), Up()).steps
    assert isinstance(step.operation, BuildImage)
    assert step.operation.try_pull
    (own,) = plan_images(project(BUILT), engine().snapshot(), Up()).steps
    assert isinstance(own.operation, BuildImage)
    assert not own.operation.try_pull


def test_images_that_are_contexts_are_built_first() -> None:
    base = service("base", image="", build=Build(context="/base"))
    app = service("app", image="", build=Build(context="/app", additional_contexts={"base": "service:base"}))
    made = plan_images(project(app, base), engine().snapshot(), Up())
    assert [(s.id, s.after) for s in made.steps] == [("image:demo-base.build", ()), ("image:demo-app.build", ("image:demo-base.build",))]


def test_the_default_platform_is_pulled_and_built_where_the_service_names_none() -> None:
    of = project(
        service("a", image="x"), service("b", image="y", platform="linux/amd64"), service("c", image="", build=Build(context="/c"))
    )
    of = replace(of, environment={"DOCKER_DEFAULT_PLATFORM": "linux/arm64"})
    steps = plan_images(of, engine().snapshot(), Up()).steps
    platforms = {s.operation.service: s.operation.platform for s in steps if isinstance(s.operation, (PullImage, BuildImage))}
    assert platforms == {"a": "linux/arm64", "b": "linux/amd64", "c": "linux/arm64"}


def test_only_what_is_selected_and_its_dependencies_is_brought() -> None:
    of = project(service("web", image="w", depends_on=["db"]), service("db", image="d"), service("other", image="o"))
    snapshot = engine().snapshot()
    assert set(pulled(plan_images(of, snapshot, Up(services=("web",))))) == {"w", "d"}
    assert set(pulled(plan_images(of, snapshot, Up(services=("web",), no_deps=True)))) == {"w"}
    assert set(pulled(plan_images(of, snapshot, Scale(scale={"web": 2}, no_deps=True)))) == {"w"}
    assert set(pulled(plan_images(of, snapshot, Run(service="web")))) == {"w", "d"}


def test_mounted_images_and_those_of_hooks_are_brought_too() -> None:
    web = service(
        "web", volumes=(ServiceVolume(type="image", source="data", target="/d"),), pre_start=(Hook(command=("x",), image="hook"),)
    )
    assert pulled(plan_images(project(web), engine().snapshot(), Up())) == ["data", "hook"]


def test_pull_refreshes_and_says_what_it_skips() -> None:
    of = project(BUILT, service("web"), service("fixed", image="f", pull_policy="never"), service("db", image="d", pull_policy="missing"))
    there = engine(images={"busybox": image("busybox"), "d": image("d")})
    made = plan_images(of, there.snapshot(), Pull())
    assert pulled(made) == ["busybox"]
    assert dict(made.notes) == {
        "Service app": "Skipped: No image to be pulled",
        "Service db": "Skipped: Image is already present locally",
        "Service fixed": "Skipped: pull policy never",
    }
    assert pulled(plan_images(of, there.snapshot(), Pull(policy="always", services=("db",)))) == ["d"]


def test_build_builds_what_is_named_and_takes_arguments() -> None:
    of = project(BUILT, service("web", depends_on=["app"]))
    made = plan_images(of, engine().snapshot(), BuildIntent(services=("app",), args={"V": "1"}, no_cache=True))
    operation = made.steps[0].operation
    assert isinstance(operation, BuildImage)
    assert (operation.build.args, operation.no_cache) == ({"V": "1"}, True)
    assert built(plan_images(of, engine().snapshot(), BuildIntent(services=("web",)))) == []
    assert built(plan_images(of, engine().snapshot(), BuildIntent(services=("web",), with_dependencies=True))) == ["demo-app"]


def test_providers_are_asked_and_what_they_say_reaches_dependents() -> None:
    of = project(service("db", image="", provider=Provider(type="aws")), service("web", depends_on=["db"]), service("other"))
    assert [s.id for s in plan_images(of, engine().snapshot(), Up()).steps] == ["db.provider"]
    told = with_provider_variables(of, "db", {"DB_URL": "x"})
    assert told.services["web"].environment == {"DB_URL": "x"}
    assert told.services["other"].environment == {}


def test_what_must_be_observed_is_named() -> None:
    of = project(
        service("web", network_mode="container:far", external_links=("ext:e",), volumes_from=("container:vol:ro",)),
        service("db", image="", build=Build(context="/x")),
        disabled_services={"debug": service("debug", image="dbg")},
    )
    assert image_references(of) == ("busybox", "demo-db", "dbg")
    assert image_references(of, compatibility=True) == ("busybox", "demo_db", "dbg")
    assert neighbour_names(of) == ("far", "vol", "ext")


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux/arm64", True),
        ("linux/amd64", False),
        ("amd64", False),
        ("linux/amd64/v3", False),
        ("x86_64", False),
        ("", False),
        ("windows/amd64", True),
    ],
)
def test_an_image_for_another_platform_is_as_good_as_none(platform: str, expected: bool) -> None:
    held = image("busybox")
    held = replace(held, config=replace(held.config, os="linux", architecture="amd64"))
    made = plan_images(project(service("web", platform=platform)), engine(images={"busybox": held}).snapshot(), Up())
    assert bool(pulled(made)) is expected
    if expected:
        assert made.steps[0].cause == f"there for linux/amd64, not {platform}"
        with pytest.raises(PlanError, match=f"wanted {platform}, actual: linux/amd64"):
            plan_images(project(service("web", platform=platform)), engine(images={"busybox": held}).snapshot(), Up(pull="never"))


@pytest.mark.parametrize(
    ("host", "platform", "default", "warned"),
    [
        ("linux/amd64", "", "", True),
        ("linux/arm64", "", "", False),
        ("linux/amd64", "linux/arm64", "", False),
        ("linux/amd64", "", "linux/arm64", False),
    ],
)
def test_an_image_for_another_machine_is_said_once_when_nobody_asked_for_it(host: str, platform: str, default: str, warned: bool) -> None:
    held = replace(image("busybox"), config=replace(image("busybox").config, architecture="arm64"))
    environment = {"DOCKER_DEFAULT_PLATFORM": default} if default else {}
    of = project(service("web", platform=platform, scale=2), environment=environment)
    there = engine(images={"busybox": held})
    said = plan(of, there.snapshot(platform=host), Up()).warnings
    told = "web: The requested image's platform (linux/arm64) does not match the detected host platform (linux/amd64) and no specific platform was requested"
    assert said == ((told,) if warned else ())


def test_a_lower_variant_fits() -> None:
    config = replace(image("busybox").config, os="linux", architecture="arm", variant="v6")
    assert config.fits("linux/arm/v7")
    assert config.fits("linux/arm")
    assert not config.fits("linux/arm/v5")
