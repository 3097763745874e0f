"""The process in a container: pid 1, names, environment, identity, capabilities, seccomp, limits, exit codes, descriptors, signals."""

from __future__ import annotations

import json
import os
import resource
import signal

import pytest

from runtime.errors import LaunchError
from runtime.spec import ImageConfig, Ulimit
from tests.kernel.sandbox.conftest import DEFAULT_CAPABILITIES, drain, make_layer, text

pytestmark = pytest.mark.root


def status(out: str) -> dict[str, str]:
    return dict(line.split(":\t", 1) for line in out.splitlines() if ":\t" in line)


def test_the_command_is_pid_1_and_sees_only_itself(host):
    result = host.run("echo $$; set -- /proc/[0-9]*; echo $#")
    assert result.lines == ["1", "1"]


def test_its_exit_code_comes_back(host):
    assert host.run("exit 3").code == 3
    assert host.run("kill -TERM $$; exit 4").code == 4  # pid 1 without a handler ignores its own TERM, as in Docker


def test_it_is_killed_by_signals_from_outside(host):
    container = host.start(host.bundle(("sleep", "60")))
    os.kill(container.pid, signal.SIGKILL)
    assert container.wait() == -9


def test_hostname_domainname_and_environment(host):
    image = ImageConfig(environment=("PATH=/bin", "A=image", "B=gone"))
    result = host.run(
        "hostname; cat /proc/sys/kernel/domainname; env | sort",
        image=image,
        hostname="box",
        domainname="example.org",
        environment={"A": "spec", "B": None, "C": "x=y z"},
    )
    assert result.lines[:2] == ["box", "example.org"]
    environment = set(result.lines[2:])
    assert {"A=spec", "C=x=y z", "PATH=/bin", "HOSTNAME=box", "HOME=/root"} <= environment
    assert not any(line.startswith(("B=", "PYTHON", "TERM=")) for line in environment)


def test_the_host_name_defaults_to_the_short_id(host):
    found = host.bundle("hostname")
    container = host.start(found)
    assert os.read(container.logs, 100).decode().strip() == found.id[:12]


def test_the_hosts_own_name_is_untouched(host):
    before = os.uname().nodename
    host.run("hostname", hostname="other")
    assert os.uname().nodename == before


@pytest.mark.parametrize(
    ("user", "group_add", "expected"),
    [
        ("", (), "uid=0(root) gid=0(root) groups=0(root)"),
        ("app", (), "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)"),
        ("1000", (), "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)"),
        ("1234", (), "uid=1234 gid=0(root) groups=0(root)"),
        ("1234:77", ("5", "root"), "uid=1234 gid=77 groups=0(root),5,77"),
        ("app:more", (), "uid=1000(app) gid=3000(more) groups=3000(more)"),
        ("app", ("more", "4000"), "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra),3000(more),4000"),
    ],
)
def test_users_and_groups_are_the_images(host, user, group_add, expected):
    assert host.run("id", user=user, group_add=group_add).out.strip() == expected


def test_home_is_the_users(host):
    assert host.run("echo $HOME", user="app").out == "/home/app\n"
    assert host.run("echo $HOME", user="4321").out == "/\n"
    assert host.run("echo $HOME", user="app", environment={"HOME": "/elsewhere"}).out == "/elsewhere\n"


def test_an_unknown_user_is_refused_in_dockers_words(host):
    with pytest.raises(LaunchError, match="unable to find user nosuch: no matching entries in passwd file"):
        host.run("true", user="nosuch")
    with pytest.raises(LaunchError, match="unable to find group nosuch: no matching entries in group file"):
        host.run("true", user="app:nosuch")


def test_root_has_dockers_capabilities_and_others_have_none(host):
    root = status(host.run("cat /proc/self/status").out)
    assert int(root["CapEff"], 16) == int(root["CapPrm"], 16) == int(root["CapBnd"], 16) == DEFAULT_CAPABILITIES
    assert int(root["CapInh"], 16) == int(root["CapAmb"], 16) == 0
    other = status(host.run("cat /proc/self/status", user="1000").out)
    assert int(other["CapEff"], 16) == int(other["CapPrm"], 16) == int(other["CapInh"], 16) == int(other["CapAmb"], 16) == 0
    assert int(other["CapBnd"], 16) == DEFAULT_CAPABILITIES


def test_capabilities_are_added_and_dropped(host):
    only = status(host.run("cat /proc/self/status", cap_drop=("ALL",), cap_add=("NET_BIND_SERVICE",)).out)
    assert int(only["CapEff"], 16) == 1 << 10
    fewer = status(host.run("cat /proc/self/status", cap_drop=("CAP_CHOWN", "mknod")).out)
    assert int(fewer["CapEff"], 16) == DEFAULT_CAPABILITIES & ~1 & ~(1 << 27)
    assert host.run("chown 5 /tmp", cap_drop=("CHOWN",)).code != 0


def test_privileged_has_all_that_the_engine_has(host):
    mine = status(text("/proc/self/status"))
    found = status(host.run("cat /proc/self/status", privileged=True).out)
    assert int(found["CapEff"], 16) == int(mine["CapPrm"], 16) & (1 << 41) - 1
    assert found["Seccomp"] == "0"


def test_seccomp_refuses_what_docker_refuses(host):
    result = host.run("grep Seccomp: /proc/self/status; unshare -m true; mount -t tmpfs x /tmp; swapoff -a; echo $?")
    assert "Seccomp:\t2" in result.out
    assert result.out.count("Operation not permitted") + result.out.count("permission denied") >= 2


def test_seccomp_refuses_even_with_all_capabilities_but_one(host):
    """keyctl and the clock of the kernel's log are outside the profile whatever the capabilities are; SYS_ADMIN opens mount."""
    allowed = host.run("mount -t tmpfs x /tmp && echo mounted", cap_add=("SYS_ADMIN",))
    assert allowed.out == "mounted\n"


def test_unconfined_has_no_filter(host):
    assert "Seccomp:\t0" in host.run("grep Seccomp: /proc/self/status", security_opt=("seccomp=unconfined",)).out


def test_a_profile_of_ones_own(host):
    profile = json.dumps(
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["chmod", "fchmodat", "fchmodat2", "fchmod"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}],
        }
    )
    result = host.run("chmod 700 /tmp; mkdir /x && echo made", seccomp_profile=profile)
    assert "chmod: /tmp: Permission denied" in result.out
    assert "made" in result.out


def test_a_malformed_profile_is_refused(host):
    with pytest.raises(LaunchError, match="seccomp profile"):
        host.run("true", seccomp_profile='{"defaultAction": "SCMP_ACT_NONSENSE"}')
    with pytest.raises(LaunchError, match="seccomp profile"):
        host.run("true", seccomp_profile='{"defaultAction":')


def test_no_new_privileges(host):
    assert "NoNewPrivs:\t0" in host.run("grep NoNewPrivs /proc/self/status").out
    found = status(host.run("cat /proc/self/status", security_opt=("no-new-privileges:true",)).out)
    assert found["NoNewPrivs"] == "1"
    assert found["Seccomp"] == "2"


@pytest.mark.parametrize(
    ("argv", "code", "message"),
    [
        (("nope",), 127, 'exec: "nope": executable file not found in $PATH'),
        (("/nope",), 127, 'exec: "/nope": stat /nope: no such file or directory'),
        (("/etc/passwd",), 126, 'exec: "/etc/passwd": permission denied'),
        (("/etc",), 126, 'exec: "/etc": is a directory'),
        (("/garbage",), 126, 'exec: "/garbage": exec format error'),
        (("/script",), 127, "its interpreter /no/such/shell was not found"),
    ],
)
def test_what_cannot_be_executed(host, busybox_layer, argv, code, message):
    layer = make_layer(f"{host.directory}/broken", {"garbage": "garbage\n\0", "script": "#!/no/such/shell\n"})
    with pytest.raises(LaunchError) as failure:
        host.run(argv, layers=[busybox_layer, layer])
    assert failure.value.exit_code == code
    assert message in failure.value.message


def test_a_failed_launch_leaves_no_process_and_no_descriptor(host):
    before, descriptors = children(), os.listdir("/proc/self/fd")
    with pytest.raises(LaunchError):
        host.run(("nope",))
    assert children() == before
    assert os.listdir("/proc/self/fd") == descriptors


def children() -> list[str]:
    with open(f"/proc/self/task/{os.getpid()}/children") as file:
        return file.read().split()


def test_no_descriptor_crosses_the_exec(host):
    leak = os.open("/", os.O_RDONLY)
    os.set_inheritable(leak, True)
    try:
        container = host.start(host.bundle(("sleep", "60")))
    finally:
        os.close(leak)
    assert sorted(os.listdir(f"/proc/{container.pid}/fd")) == ["0", "1", "2"]


def test_signals_are_as_new_although_python_ignores_sigpipe(host):
    previous = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        found = status(host.run(("cat", "/proc/self/status")).out)
    finally:
        signal.signal(signal.SIGUSR1, previous)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    assert int(found["SigIgn"], 16) == int(found["SigBlk"], 16) == int(found["SigCgt"], 16) == 0
    assert found["Umask"] == "0022"


def test_the_callers_signal_mask_is_restored(host):
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    host.run("true")
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_ulimits(host):
    result = host.run(
        "ulimit -Sn; ulimit -Hn; ulimit -c", ulimits=(Ulimit(name="nofile", soft=100, hard=200), Ulimit(name="core", soft=0, hard=0))
    )
    assert result.lines == ["100", "200", "0"]
    with pytest.raises(LaunchError, match=r"ulimits\.nonsense"):
        host.run("true", ulimits=(Ulimit(name="nonsense", soft=1, hard=1),))
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 200


def test_oom_score_and_working_directory(host):
    result = host.run("cat /proc/self/oom_score_adj; pwd; ls -ld /made/for/it", oom_score_adj=500, working_dir="/made/for/it")
    assert result.lines[:2] == ["500", "/made/for/it"]
    assert result.lines[2].startswith("drwxr-xr-x")


def test_a_working_directory_through_a_magic_link_is_refused(host, busybox_layer):
    layer = make_layer(f"{host.directory}/magic", {}, {"cwd": "/proc/self/fd/3"})
    with pytest.raises(LaunchError, match="working directory /cwd"):
        host.run("pwd", layers=[busybox_layer, layer], working_dir="/cwd")


def test_init_reaps_and_forwards(host):
    container = host.start(
        host.bundle("trap 'exit 7' TERM; (sleep 0.01 &); sleep 0.2; echo; ps | grep -c ' Z ' ; while :; do sleep 0.05; done", init=True)
    )
    out = b""
    while out.count(b"\n") < 2:
        out += os.read(container.logs, 100)
    os.kill(container.pid, signal.SIGTERM)
    assert container.wait() == 7


def test_the_own_init_stands_in_for_a_missing_one(host, monkeypatch):
    monkeypatch.setattr("runtime.sandbox.find_init", lambda: "")
    result = host.run("echo $$; exit 5", init=True)
    assert (result.code, result.out) == (5, "2\n")
    assert host.run("kill -TERM $$; sleep 5", init=True).code == 128 + 15
    container = host.start(host.bundle("trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done", init=True))
    assert os.read(container.logs, 100) == b"ready\n"
    os.kill(container.pid, signal.SIGTERM)
    assert container.wait() == 7


def test_a_terminal_of_the_containers_own(host):
    container = host.start(
        host.bundle("tty; ls -l /dev/console | cut -c1-10; test -t 0 && echo controls > /dev/tty; echo $TERM", tty=True), terminal=True
    )
    assert container.wait() == 0
    assert drain(container.terminal).split() == ["/dev/pts/0", "crw--w----", "controls", "xterm"]


def test_a_thread_may_launch_too(host):
    """A caller with threads forks twice, so that no lock of another thread is copied; the child is still the caller's own."""
    from threading import Event, Thread

    done, results = Event(), []
    other = Thread(target=done.wait)
    other.start()
    worker = Thread(target=lambda: results.append(host.run("echo $$; grep PPid /proc/1/status")))
    worker.start()
    worker.join()
    done.set()
    other.join()
    assert results[0].code == 0
    assert results[0].lines == ["1", "PPid:\t0"]


def test_a_capability_that_the_engine_lacks_is_named(host):
    from runtime import security
    from runtime.native.syscalls import capget_permitted

    lacking = [c for c in security.CAPABILITIES if not capget_permitted() & security.capability_mask((c,))]
    container = host.start(host.bundle("true", cap_add=("ALL",)))
    assert container.wait() == 0
    assert [c for c in lacking if c not in "".join(container.warnings)] == []
    assert bool(container.warnings) == bool(lacking)
