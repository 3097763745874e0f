"""What becomes of the networks and volumes in the scope: there, to be made, or to be made anew because their definition changed. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from compose.convert import names
from compose.convert.endpoints import attachments
from compose.convert.hashing import network_hash, volume_hash
from compose.convert.networks import DEFAULT_BRIDGE, default_bridge, network_spec, volume_spec
from compose.errors import PlanError
from compose.model import Network, Service, Volume
from compose.plan import Question
from compose.planner.convergence import Change, Convergence
from runtime.state import NetworkState, VolumeState


def define_networks(work: Convergence, services: Iterable[Service]) -> None:
    """Fill ``networks`` and ``at.networks`` for every network ``services`` use. Raises PlanError when an external one is missing."""
    for key in dict.fromkeys(a.network for s in services for a in attachments(work.project, s)):
        if key in work.networks:
            continue
        if key == DEFAULT_BRIDGE and key not in work.project.networks:
            _define_default_bridge(work)
        else:
            _define_network(work, key, work.project.networks.get(key) or Network(key=key, name=names.network_name(work.project, key)))


def define_volumes(work: Convergence, services: Iterable[Service]) -> None:
    """Fill ``volumes`` and ``volume_specs`` for every named volume ``services`` use; ask before data is lost."""
    for key in dict.fromkeys(v.source for s in services for v in s.volumes if v.type == "volume" and v.source):
        if key not in work.volumes:
            _define_volume(work, key, work.project.volumes.get(key) or Volume(key=key, name=names.volume_name(work.project, key)))


def _define_network(work: Convergence, key: str, network: Network) -> None:
    there = work.snapshot.networks.get(network.name)
    if network.external:
        if there is None:
            raise PlanError(
                f"network {network.name} declared as external, but could not be found", hint="make it first, or remove external"
            )
        work.networks[key], work.at.networks[key] = Change.NONE, there.spec
        return
    change = _network_change(work, network, there)
    work.networks[key] = change
    if change is Change.NONE and there is not None:
        work.at.networks[key] = there.spec
        return
    work.at.networks[key] = network_spec(work.project, network, work.snapshot.nonce, list(_taken(work)))
    work.at.addresses.forget(network.name)


def _network_change(work: Convergence, network: Network, there: NetworkState | None) -> Change:
    if there is None:
        return Change.CREATE
    labels = there.spec.labels
    if labels.get(names.PROJECT) != work.project.name:
        work.draft.warn(
            f'a network with name {network.name} exists but was not created for project "{work.project.name}".\n'
            "Set `external: true` to use an existing network"
        )
        return Change.NONE
    if labels.get(names.NETWORK) != network.key:
        raise PlanError(
            f'network {network.name} was found but has incorrect label {names.NETWORK} set to "{labels.get(names.NETWORK, "")}" '
            f'(expected: "{network.key}")'
        )
    return Change.RENEW if labels.get(names.CONFIG_HASH) != network_hash(network) else Change.NONE


def _define_default_bridge(work: Convergence) -> None:
    there = work.snapshot.networks.get(DEFAULT_BRIDGE)
    work.networks[DEFAULT_BRIDGE] = Change.NONE if there else Change.CREATE
    work.at.networks[DEFAULT_BRIDGE] = there.spec if there else default_bridge(work.snapshot.nonce, list(_taken(work)))


def _taken(work: Convergence) -> Iterator[str]:
    """Every destination a chosen subnet must avoid: routes, networks that exist, pools that are written, what this plan chose."""
    yield from work.snapshot.routes
    for state in work.snapshot.networks.values():
        yield from (s.subnet for s in state.spec.subnets)
    for network in work.project.networks.values():
        yield from (p.subnet for p in network.ipam if p.subnet)
    for spec in work.at.networks.values():
        yield from (s.subnet for s in spec.subnets)


def _define_volume(work: Convergence, key: str, volume: Volume) -> None:
    there = work.snapshot.volumes.get(volume.name)
    if volume.external:
        if there is None:
            raise PlanError(f'external volume "{volume.name}" not found', hint="make it first, or remove external")
        work.volumes[key] = Change.NONE
        return
    work.volumes[key] = _volume_change(work, volume, there)
    if work.volumes[key] is not Change.NONE:
        work.volume_specs[key] = volume_spec(work.project, volume)


def _volume_change(work: Convergence, volume: Volume, there: VolumeState | None) -> Change:
    if there is None:
        return Change.CREATE
    labels = there.spec.labels
    owner = labels.get(names.PROJECT)
    if owner != work.project.name:
        made = f'created for project "{owner}" (expected "{work.project.name}")' if owner else "not created by Docker Compose"
        work.draft.warn(f'volume "{volume.name}" already exists but was {made}. Use `external: true` to use an existing volume')
        return Change.NONE
    if labels.get(names.CONFIG_HASH) == volume_hash(volume):
        return Change.NONE
    if work.intent.yes or volume.name in work.intent.agreed:
        return Change.RENEW
    text = f'Volume "{volume.name}" exists but doesn\'t match configuration in compose file. Recreate (data will be lost)?'
    work.draft.questions.append(Question(subject=volume.name, text=text))
    return Change.NONE
