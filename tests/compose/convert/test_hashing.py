from __future__ import annotations

from dataclasses import replace

import pytest

from compose.convert import config_hash, network_hash, volume_hash
from compose.model import Build, Dependency, Deploy, FileSource, Healthcheck, Network, Service, ServiceFile, Volume, WatchRule
from tests.fakes import project, service

WEB = service("web", environment={"A": "1"}, deploy=Deploy(replicas=2))
NOTHING = project()


@pytest.mark.parametrize(
    "change",
    [
        {"build": Build(context="/x")},
        {"pull_policy": "always"},
        {"scale": 3},
        {"depends_on": {"db": Dependency(service="db")}},
        {"profiles": ("dev",)},
        {"deploy": Deploy(replicas=5)},
        {"name": "other"},
    ],
    ids=lambda c: next(iter(c)),
)
def test_what_does_not_shape_a_container_does_not_change_its_hash(change: dict[str, object]) -> None:
    assert config_hash(replace(WEB, **change), NOTHING) == config_hash(WEB, NOTHING)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"a": "b"}},
        {"annotations": {"a": "b"}},
        {"environment": {"A": "2"}},
        {"environment": {"A": None}},
        {"command": ("x",)},
        {"command": ()},
        {"restart": "always"},
        {"healthcheck": Healthcheck(test=("CMD", "true"))},
        {"stop_grace_period": 3.0},
        {"expose": ("80",)},
        {"container_name": "x1"},
        {"mem_limit": 1 << 20},
        {"attach": False},
        {"develop": (WatchRule(path="/x", action="sync", target="/y"),)},
        {"deploy": None},
        {"deploy": Deploy(replicas=2, memory=1 << 20)},
    ],
    ids=str,
)
def test_what_shapes_a_container_changes_its_hash(change: dict[str, object]) -> None:
    assert config_hash(replace(WEB, **change), NOTHING) != config_hash(WEB, NOTHING)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["configs", "secrets"])
def test_the_content_of_inline_files_counts_only_where_they_are_used(kind: str) -> None:
    def of(content: str, used: Service) -> str:
        return config_hash(used, replace(NOTHING, **{kind: {"c": FileSource(key="c", name="demo_c", content=content)}}))

    user = replace(WEB, **{kind: (ServiceFile(source="c"),)})
    assert of("one", user) != of("two", user)
    assert of("one", WEB) == of("two", WEB)


def test_a_hash_is_64_hex_digits_and_the_same_every_time() -> None:
    assert config_hash(WEB, NOTHING) == config_hash(replace(WEB, environment=dict(WEB.environment)), NOTHING)
    assert len(config_hash(WEB, NOTHING)) == 64
    int(config_hash(WEB, NOTHING), 16)


def test_networks_and_volumes_have_hashes_of_their_definition() -> None:
    net, vol = Network(key="n", name="demo_n"), Volume(key="v", name="demo_v")
    assert network_hash(net) != network_hash(replace(net, internal=True))
    assert network_hash(net) != network_hash(replace(net, labels={"a": "b"}))
    assert network_hash(net) == network_hash(replace(net, key="other"))
    assert volume_hash(vol) != volume_hash(replace(vol, driver_opts={"type": "tmpfs"}))
