"""Bundles are decided purely: argv, environment, mounts, namespaces, confinement, and their way through JSON."""

from __future__ import annotations

from typing import Any

import pytest

from runtime import bundle, codec
from runtime.bundle import Bundle
from runtime.bundle_mounts import BindEntry, LayersEntry, TmpfsEntry
from runtime.errors import RuntimeFailure, Unsupported
from runtime.spec import BindMount, ContainerSpec, FileMount, ImageConfig, ImageMount, Resources, TmpfsMount, VolumeMount
from runtime.store import Paths

ID, OTHER = "a" * 64, "b" * 64
PATHS = Paths("/root", "/run")


def resolve(image: ImageConfig | None = None, **spec: Any) -> Bundle:
    wanted = ContainerSpec(**{"id": ID, "name": "web-1", "project": "p", "image": "i", "command": ("sh",), **spec})
    return bundle.resolve(wanted, image or ImageConfig(), ["/l/1", "/l/2"], "/c", PATHS, {"v": "/vol/v"}, {"img": ["/i/1"]})


@pytest.mark.parametrize(
    ("image", "spec", "argv"),
    [
        ({"command": ("a",)}, {"command": None}, ("a",)),
        ({"entrypoint": ("e",), "command": ("a",)}, {"command": None}, ("e", "a")),
        ({"entrypoint": ("e",), "command": ("a",)}, {"command": ("b",)}, ("e", "b")),
        ({"entrypoint": ("e",), "command": ("a",)}, {"command": None, "entrypoint": ("x",)}, ("x",)),
        ({"entrypoint": ("e",), "command": ("a",)}, {"command": ("b",), "entrypoint": ("x",)}, ("x", "b")),
        ({"entrypoint": ("e",), "command": ("a",)}, {"command": ("b",), "entrypoint": ()}, ("b",)),
        ({"entrypoint": ("e",), "command": ("a",)}, {"command": ()}, ("e",)),
    ],
)
def test_entrypoint_and_command(image, spec, argv):
    assert resolve(ImageConfig(**image), **spec).argv == argv


def test_no_command_at_all_is_refused():
    with pytest.raises(RuntimeFailure, match="web-1: no command specified"):
        resolve(command=None)


def test_environment_working_dir_user_and_signal_come_from_the_image_unless_given():
    image = ImageConfig(environment=("A=1", "B=2=3", "C="), working_dir="/w", user="app", stop_signal="SIGQUIT")
    inherited = resolve(image, environment={"A": "x", "C": None, "D": ""})
    assert inherited.environment == {"A": "x", "B": "2=3", "D": ""}
    assert (inherited.cwd, inherited.user, inherited.stop_signal) == ("/w", "app", "SIGQUIT")
    given = resolve(image, working_dir="/v", user="", stop_signal="SIGUSR1")
    assert (given.cwd, given.user, given.stop_signal) == ("/v", "", "SIGUSR1")
    assert (resolve().cwd, resolve().stop_signal) == ("/", "SIGTERM")


def test_mounts_parents_first_and_files_in_their_order():
    found = resolve(
        mounts=(
            BindMount(source="/s", target="/a/b/c"),
            FileMount(target="/f1", content=""),
            VolumeMount(volume="v", target="/a", subpath="sub", read_only=True),
            FileMount(target="/f0", content=""),
            TmpfsMount(target="/t", size=5, mode=0o700, options=("exec",), read_only=True),
            ImageMount(image="img", target="/i"),
            BindMount(source="/mine", target="/etc/hosts"),
        )
    ).mounts
    targets = [m.target for m in found]
    assert targets.index("/a") < targets.index("/a/b/c")
    by_target = {m.target: m for m in found}
    assert by_target["/a"] == BindEntry(source="/vol/v", target="/a", subpath="sub", read_only=True)
    assert by_target["/t"] == TmpfsEntry(target="/t", options=("noexec", "nosuid", "nodev", "size=5", "mode=700", "exec", "ro"))
    assert by_target["/i"] == LayersEntry(lowers=("/i/1",), target="/i")
    assert [by_target[t].source for t in ("/f1", "/f0")] == ["/c/files/mounts/000", "/c/files/mounts/001"]
    assert by_target["/etc/hosts"].source == "/mine"
    assert by_target["/etc/hostname"] == BindEntry(source="/c/files/hostname", target="/etc/hostname", optional=True)


def test_namespaces():
    assert resolve().namespaces == bundle.NamespacePlan(network=f"/run/netns/{ID}")
    assert resolve(network_mode="none").namespaces.network == f"/run/netns/{ID}"
    assert resolve(network_mode="host", pid_mode="host", ipc_mode="host", uts_mode="host").namespaces.donors == ()
    joined = resolve(network_mode=f"container:{OTHER}", pid_mode=f"container:{OTHER}", ipc_mode="shareable").namespaces
    assert (joined.network, joined.donors, joined.ipc) == (f"/run/netns/{OTHER}", (OTHER,), "")


def test_hostname_is_the_short_id_but_the_hosts_when_its_names_are_shared():
    assert resolve().hostname == "a" * 12
    assert resolve(hostname="h").hostname == "h"
    assert resolve(network_mode="host").hostname == ""


def test_privileged_lifts_everything():
    found = resolve(privileged=True)
    assert found.confinement.seccomp_filter == ""
    assert found.confinement.masked_paths == found.confinement.readonly_paths == ()
    assert len(found.confinement.capabilities) == 41
    assert found.cgroup.all_devices


def test_the_filter_is_shared_by_equal_containers_and_differs_with_capabilities():
    one, two = resolve(), resolve(id=OTHER)
    assert one.confinement.seccomp_filter == two.confinement.seccomp_filter
    assert one.confinement.seccomp_filter != resolve(cap_add=("SYS_ADMIN",)).confinement.seccomp_filter
    assert resolve(seccomp_profile="unconfined").confinement.seccomp_filter == ""
    assert resolve(seccomp_profile='{"a":1}').confinement.seccomp_profile == '{"a":1}'
    assert resolve(privileged=True, seccomp_profile='{"a":1}').confinement.seccomp_filter
    with pytest.raises(RuntimeFailure, match=r"seccomp profile 'file\.json' was not read"):
        resolve(security_opt=("seccomp=file.json",))


def test_sysctls_have_dockers_defaults_in_a_network_of_its_own_only():
    assert resolve(sysctls={"net.core.somaxconn": "9"}).sysctls == {
        "net.ipv4.ip_unprivileged_port_start": "0",
        "net.ipv4.ping_group_range": "0 2147483647",
        "net.core.somaxconn": "9",
    }
    assert resolve(network_mode="host").sysctls == {}
    for bad in ({"sysctls": {"vm.swappiness": "1"}}, {"sysctls": {"kernel.sem": "1"}, "ipc_mode": "host"}):
        with pytest.raises(Unsupported):
            resolve(**bad)


def test_the_cgroup_is_below_its_parent():
    assert resolve().cgroup.path == f"pycompose/p/{ID}"
    assert resolve(cgroup_parent="/mine/").cgroup.path == f"mine/p/{ID}"


def test_through_json_and_back():
    found = resolve(
        mounts=(BindMount(source="/s", target="/a"), TmpfsMount(target="/t"), ImageMount(image="img", target="/i")),
        resources=Resources(memory=5),
        environment={"ü": "\n"},
    )
    assert codec.loads(Bundle, codec.dumps(found)) == found
