"""Namespaces shared with other containers and the host, sysctls, and further processes in a running container."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace

import pytest

from runtime import enter, sandbox
from runtime.bundle import Bundle
from runtime.errors import LaunchError, Unsupported
from runtime.spec import ExecSpec
from tests.kernel.sandbox.conftest import DEFAULT_CAPABILITIES, drain, text

pytestmark = pytest.mark.root


def namespace(pid: int, name: str) -> str:
    return os.readlink(f"/proc/{pid}/ns/{name}")


@pytest.fixture
def pinned() -> Iterator[str]:
    name = f"sbx{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
    yield f"/run/netns/{name}"
    subprocess.run(["ip", "netns", "del", name], check=True)


def test_everything_is_its_own_by_default(host):
    container = host.start(host.bundle(("sleep", "60")))
    for name in ("mnt", "uts", "ipc", "pid", "net", "cgroup"):
        assert namespace(container.pid, name) != namespace(os.getpid(), name), name


def test_a_pinned_network_is_joined_and_no_network_has_only_lo(host, pinned):
    found = host.run("ip -o link | cut -d: -f2; ping -c1 -W1 127.0.0.1 >/dev/null && echo up", netns=pinned)
    assert found.out.split() == ["lo", "up"]
    alone = host.run("ip -o link | cut -d: -f2; ping -c1 -W1 127.0.0.1 >/dev/null && echo up")
    assert "lo" in alone.out.split()
    assert alone.lines[-1] == "up"


def test_a_network_that_is_gone_is_named(host):
    with pytest.raises(LaunchError, match="network namespace /no/such/pin is not there"):
        host.run("true", netns="/no/such/pin")


def test_the_hosts_namespaces(host):
    found = host.bundle(("sleep", "60"), pid_mode="host", ipc_mode="host", uts_mode="host", network_mode="host", cgroup_mode="host")
    container = host.start(found)
    for name in ("uts", "ipc", "pid", "net", "cgroup"):
        assert namespace(container.pid, name) == namespace(os.getpid(), name), name
    assert namespace(container.pid, "mnt") != namespace(os.getpid(), "mnt")
    assert container.exec("hostname").out.strip() == os.uname().nodename
    assert container.exec("df -k /dev/shm | tail -1").out.split()[1] == os.popen("df -k /dev/shm | tail -1").read().split()[1]


def test_the_namespaces_of_another_container(host):
    donor = host.start(host.bundle("echo x > /dev/shm/from_donor; echo ready; exec sleep 60"))
    assert os.read(donor.logs, 10) == b"ready\n"
    reference = f"container:{donor.bundle.id}"
    guest = host.start(
        host.bundle(("sleep", "60"), pid_mode=reference, ipc_mode=reference, network_mode=reference), {donor.bundle.id: donor}
    )
    for name in ("ipc", "pid", "net"):
        assert namespace(guest.pid, name) == namespace(donor.pid, name), name
    assert namespace(guest.pid, "uts") != namespace(donor.pid, "uts")
    assert guest.exec("cat /dev/shm/from_donor; touch /dev/shm/from_guest; cat /proc/1/cmdline").out == "x\nsleep\x0060\x00"
    assert donor.exec("ls /dev/shm").out.split() == ["from_donor", "from_guest"]
    guest.kill()
    assert donor.exec("true").code == 0


def test_a_donor_that_does_not_run_is_named(host):
    with pytest.raises(LaunchError, match="container aaaaaaaaaaaa, whose namespace is to be joined, is not running"):
        host.run("true", pid_mode=f"container:{'a' * 64}")


def test_ipc_none_has_no_shm(host):
    assert host.run("ls -d /dev/shm", ipc_mode="none").code != 0


def test_sysctls_act_inside_only(host):
    before = text("/proc/sys/kernel/shmmni"), text("/proc/sys/net/ipv4/ip_forward")
    result = host.run(
        "cat /proc/sys/kernel/shmmni /proc/sys/net/ipv4/tcp_syncookies /proc/sys/net/ipv4/ip_unprivileged_port_start",
        sysctls={"kernel.shmmni": "1234", "net.ipv4.tcp_syncookies": "0"},
    )
    assert result.lines == ["1234", "0", "0"]
    assert (text("/proc/sys/kernel/shmmni"), text("/proc/sys/net/ipv4/ip_forward")) == before


def test_sysctls_of_the_whole_host_are_refused(host):
    with pytest.raises(Unsupported, match=r"kernel\.hostname"):
        host.bundle("true", sysctls={"kernel.hostname": "x"})
    with pytest.raises(Unsupported, match="network_mode shares"):
        host.bundle("true", sysctls={"net.ipv4.ip_forward": "1"}, network_mode="host")
    with pytest.raises(LaunchError, match=r"sysctls\.net\.ipv4\.nonsense"):
        host.run("true", sysctls={"net.ipv4.nonsense": "1"})


@pytest.fixture
def running(host):
    return host.start(host.bundle(("sleep", "60"), environment={"A": "1", "B": "2"}, working_dir="/tmp", user="root"))


def test_exec_has_the_containers_view_and_environment(running):
    result = running.exec(
        "hostname; pwd; echo $A $B $C; cat /proc/self/cgroup | cut -d: -f3 | sort -u; ps | grep -c sleep", environment={"B": None, "C": "3"}
    )
    assert result.lines[:4] == [running.bundle.id[:12], "/tmp", "1 3", "/"]
    for name in ("mnt", "uts", "ipc", "pid", "net", "cgroup"):
        assert namespace(running.pid, name) != namespace(os.getpid(), name)
    assert namespace(os.getpid(), "pid") == os.readlink("/proc/self/ns/pid_for_children"), "the caller's children are at home again"


def test_exec_is_confined_as_the_container_is(running):
    found = running.exec("grep -E 'Cap(Eff|Bnd)|Seccomp:' /proc/self/status").out.split()
    assert int(found[1], 16) == int(found[3], 16) == DEFAULT_CAPABILITIES
    assert found[5] == "2"
    privileged = running.exec("grep CapEff /proc/self/status", privileged=True).out.split()
    assert int(privileged[1], 16) != DEFAULT_CAPABILITIES


def test_exec_as_another_user_elsewhere(running):
    assert running.exec("id -u; pwd; echo $HOME", user="app", working_dir="/var").lines == ["1000", "/var", "/home/app"]


@pytest.mark.parametrize(
    ("argv", "options", "code"), [(("nope",), {}, 127), (("/etc",), {}, 126), (("true",), {"working_dir": "/nope"}, 127)]
)
def test_exec_fails_as_dockers(running, argv, options, code):
    with pytest.raises(LaunchError) as failure:
        running.exec(argv, **options)
    assert failure.value.exit_code == code


def test_exec_in_what_has_ended(host, running):
    running.kill()
    with pytest.raises(LaunchError, match="not running"):
        enter.execute(running.pid, running.bundle, ExecSpec(argv=("true",)), sandbox.Stdio())


def test_exec_on_a_terminal(running):
    launched = enter.execute(
        running.pid,
        running.bundle,
        ExecSpec(argv=("sh", "-c", "tty; test -t 1 && echo yes; echo $TERM"), tty=True),
        sandbox.Stdio(terminal=True),
    )
    os.waitpid(launched.pid, 0)
    os.close(launched.pidfd)
    assert drain(launched.terminal).split() == ["/dev/pts/0", "yes", "xterm"]


def test_exec_leaves_no_descriptor(running):
    before = sorted(os.listdir("/proc/self/fd"))
    running.exec("true")
    assert sorted(os.listdir("/proc/self/fd")) == before
    assert running.exec("for f in /proc/self/fd/*; do readlink $f; done | grep -v -E 'pipe|null|/proc'").out == ""


def test_many_begin_at_once(host):
    found = [host.bundle(("sleep", "60")) for _ in range(8)]
    pending = [sandbox.begin(b, sandbox.Stdio()) for b in found]
    launched = [p.finish() for p in pending]
    assert len({one.pid for one in launched}) == 8
    for one in launched:
        os.kill(one.pid, 9)
        os.waitpid(one.pid, 0)
        os.close(one.pidfd)


def test_launch_from_many_threads(host):
    found = [host.bundle(("true",)) for _ in range(6)]
    codes = []

    def one(wanted: Bundle) -> None:
        launched = sandbox.launch(wanted, sandbox.Stdio())
        codes.append(os.waitpid(launched.pid, 0)[1])
        os.close(launched.pidfd)

    threads = [threading.Thread(target=one, args=(b,)) for b in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert codes == [0] * 6


def test_a_launch_can_be_killed_at_any_moment(host):
    """SIGKILL to the half-made child: the parent hears of it, and nothing stays mounted."""
    for delay in (0.0, 0.001, 0.003, 0.006, 0.01):
        pending = sandbox.begin(host.bundle(("sleep", "60")), sandbox.Stdio())
        time.sleep(delay)
        os.kill(pending.pid, 9)
        try:
            launched = pending.finish()
        except LaunchError as error:
            assert "killed" in error.message
        else:
            os.waitpid(launched.pid, 0)
            os.close(launched.pidfd)


def test_without_libseccomp_it_runs_and_says_so(host, monkeypatch):
    from runtime.native import seccomp

    def missing() -> None:
        raise Unsupported("libseccomp is not installed", hint="apt install libseccomp2")

    monkeypatch.setattr(seccomp, "_library", missing)
    found = host.bundle("grep Seccomp: /proc/self/status", cap_drop=("MKNOD", "AUDIT_WRITE", "NET_RAW"))
    found = replace(found, confinement=replace(found.confinement, seccomp_filter=f"{host.directory}/none/x.bpf"))
    container = host.start(found)
    assert drain(container.logs).split() == ["Seccomp:", "0"]
    assert "libseccomp is not installed" in container.warnings[0]
