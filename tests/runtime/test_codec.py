"""State files: what is written is read back equal, and older files stay readable."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from runtime import codec
from runtime.spec import BindMount, ContainerSpec, EndpointSpec, HealthcheckSpec, PortSpec, RestartPolicy, TmpfsMount, Ulimit, VolumeMount
from runtime.state import Health, HealthState, ProcessState, Status

text = st.text(max_size=12)
mounts = st.one_of(
    st.builds(BindMount, source=text, target=text, read_only=st.booleans()),
    st.builds(VolumeMount, volume=text, target=text, labels=st.dictionaries(text, text, max_size=2)),
    st.builds(TmpfsMount, target=text, size=st.none() | st.integers(0, 1 << 40), options=st.lists(text, max_size=2).map(tuple)),
)
specs = st.builds(
    ContainerSpec,
    id=text,
    name=text,
    project=text,
    image=text,
    command=st.none() | st.lists(text, max_size=3).map(tuple),
    environment=st.dictionaries(text, st.none() | text, max_size=3),
    mounts=st.lists(mounts, max_size=3).map(tuple),
    endpoints=st.lists(st.builds(EndpointSpec, network=text, aliases=st.lists(text, max_size=2).map(tuple)), max_size=2).map(tuple),
    ports=st.lists(st.builds(PortSpec, container_port=st.integers(1, 65535), host_port=st.integers(1, 65535)), max_size=2).map(tuple),
    extra_hosts=st.lists(st.tuples(text, text), max_size=2).map(tuple),
    ulimits=st.lists(st.builds(Ulimit, name=text, soft=st.integers(-1, 9), hard=st.integers(-1, 9)), max_size=2).map(tuple),
    healthcheck=st.none()
    | st.builds(HealthcheckSpec, test=st.none() | st.lists(text, max_size=2).map(tuple), interval=st.none() | st.floats(0, 9)),
    restart=st.builds(RestartPolicy, maximum_retry_count=st.integers(0, 5)),
)


@given(specs)
def test_a_spec_survives_its_file(spec: ContainerSpec) -> None:
    assert codec.loads(ContainerSpec, codec.dumps(spec)) == spec


def test_defaults_are_not_written_and_unknown_keys_not_read() -> None:
    state = ProcessState(status=Status.RUNNING, health=HealthState(status=Health.HEALTHY))
    written = json.loads(codec.dumps(state))
    assert written == {"status": "running", "health": {"status": "healthy"}}
    assert codec.decode(ProcessState, {**written, "invented_later": 1}) == state
