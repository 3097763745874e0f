"""RUN on the real kernel: what a command sees, what stays of it, and how it fails."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from runtime.build.building import build
from runtime.build.request import BuildRequest, BuildSecret
from runtime.errors import BuildError
from tests.kernel.build.conftest import Site

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]


def test_changes_become_a_layer_and_mount_points_do_not(site: Site) -> None:
    image = site.build("FROM busybox\nRUN echo hello > /file && chown bob:7 /file && chmod 4750 /file && rm /bin/zcat && ln /file /hard\n")
    view = site.view(image)
    found = view.locate("/file").node
    assert found is not None and stat.S_IMODE(found.stat.st_mode) == 0o4750 and (found.stat.st_uid, found.stat.st_gid) == (1000, 7)
    assert found.stat.st_nlink == 2
    assert view.locate("/bin/zcat", follow=False).node is None
    assert view.locate("/etc/resolv.conf").node is None and view.locate("/etc/hosts").node is None
    top = site.store.layers(image.id)[-1]
    assert sorted(os.listdir(top)) == ["bin", "dev", "etc", "file", "hard", "proc", "sys"]
    assert os.listdir(f"{top}/etc") == []  # copied up for the mount points in it, as Docker leaves it


def test_a_command_sees_environment_user_directory_and_defaults(site: Site) -> None:
    image = site.build(
        "FROM busybox\nARG A=arg\nENV E=env A2=$A\nWORKDIR /work\nUSER bob\n"
        "RUN id -u > /tmp/o; pwd >> /tmp/o; echo $A $E $A2 $HOME >> /tmp/o; hostname >> /tmp/o; grep CapEff /proc/self/status >> /tmp/o\n"
    )
    assert site.text(image, "/tmp/o").split("\n")[:4] == ["1000", "/work", "arg env arg /", "buildkitsandbox"]
    assert "CapEff:\t0000000000000000" in site.text(image, "/tmp/o")
    assert [e for e in site.config(image)["config"]["Env"] if not e.startswith("PATH")] == ["E=env", "A2=arg"]


def test_here_documents(site: Site) -> None:
    image = site.build(
        "FROM busybox\nENV N=name\nRUN <<EOF\nset -e\necho one $N > /one\nEOF\nRUN <<-'X' sh -s arg\n\techo \"$1\" > /two\n\tX\n"
        'RUN <<E\n#!/bin/busybox sh\necho $0 > /three\nE\nCOPY --chmod=750 <<A <<"B" /d/\nval $N\nA\nraw $N\nB\n'
    )
    assert (site.text(image, "/one"), site.text(image, "/two"), site.text(image, "/three")) == ("one name\n", "arg\n", "/dev/pipes/E\n")
    assert (site.text(image, "/d/A"), site.text(image, "/d/B")) == ("val name\n", "raw $N\n")


def test_a_failure_shows_the_line_the_output_and_the_code(site: Site) -> None:
    with pytest.raises(BuildError) as caught:
        site.build("FROM busybox\nRUN echo before\nRUN echo the reason; exit 42\n")
    message = caught.value.message
    assert "Dockerfile:3: " in message and "exit code: 42" in message and "\nthe reason\n" in message
    assert "   3 | >>> RUN echo the reason; exit 42" in message and "   2 |     RUN echo before" in message
    assert list(site.steps().values()) == ["CACHED", "DONE", "ERROR"]
    assert not os.listdir(f"{site.store.root}/tmp")


def test_a_command_that_is_not_there(site: Site) -> None:
    with pytest.raises(BuildError, match=r"exit code: 127|not found|no such file"):
        site.build('FROM busybox\nRUN ["/nope"]\n')


def test_networks(site: Site) -> None:
    text = "FROM busybox\nRUN --network=none ls /sys/class/net > /none\nRUN ls /sys/class/net > /host\n"
    image = site.build(text, extra_hosts=(("db", "10.1.2.3"),))
    assert site.text(image, "/none").split() == ["lo"]
    assert set(site.text(image, "/host").split()) == set(os.listdir("/sys/class/net"))
    hosts = site.build("FROM busybox\nRUN cat /etc/hosts > /hosts\n", extra_hosts=(("db", "10.1.2.3"),))
    assert "10.1.2.3\tdb" in site.text(hosts, "/hosts")


def test_cache_mounts_are_kept_and_stay_out_of_the_image(site: Site) -> None:
    mount = "--mount=type=cache,target=/c,id=shared,mode=0700,uid=1000"
    text = f"FROM busybox\nARG N\nRUN {mount} echo $N >> /c/log; cat /c/log > /seen; stat -c '%a %u' /c >> /seen\n"
    site.build(text, arguments={"N": "1"})
    image = site.build(text, arguments={"N": "2"})
    assert site.text(image, "/seen") == "1\n2\n700 1000\n"
    assert site.view(image).locate("/c").node is None


def test_bind_and_tmpfs_mounts(site: Site) -> None:
    site.write(**{"src__a": "A", "src__skip.log": "", ".dockerignore": "*.log\n**/*.log\n"})
    image = site.build(
        "FROM busybox AS tools\nRUN mkdir /t && echo tool > /t/x\nFROM busybox\n"
        "RUN --mount=type=bind,source=src,target=/s --mount=type=bind,from=tools,source=/t,target=/tools --mount=type=tmpfs,target=/m,size=1m "
        "ls /s > /o; cat /s/a /tools/x >> /o; touch /s/w 2>/dev/null || echo read-only >> /o; grep -c ' /m tmpfs' /proc/mounts >> /o; echo x > /m/x\n"
        "RUN --mount=type=bind,source=src,target=/s,rw touch /s/w && ls /s > /o2\n"
    )
    assert site.text(image, "/o") == "a\nAtool\nread-only\n1\n"
    assert site.text(image, "/o2") == "a\nw\n" and not (site.context / "src/w").exists()
    assert all(site.view(image).locate(path).node is None for path in ("/s", "/tools", "/m"))


def test_a_bound_file_that_changes_is_seen(site: Site) -> None:
    text = "FROM busybox\nRUN --mount=type=bind,target=/s cp /s/a /copy\n"
    site.write(a="one")
    site.build(text)
    site.write(a="two")
    assert site.text(site.build(text), "/copy") == "two"


def test_secrets_reach_the_step_only(site: Site) -> None:
    (site.context / "key").write_text("from a file")
    secrets = (BuildSecret(id="a", content=b"s3cret"), BuildSecret(id="f", file=str(site.context / "key")))
    image = site.build(
        "FROM busybox\nRUN --mount=type=secret,id=a --mount=type=secret,id=f,target=/f,mode=0444,uid=1000 --mount=type=secret,id=a,env=TOKEN "
        "cat /run/secrets/a /f | wc -c > /o; stat -c %a /run/secrets/a /f >> /o; echo ${#TOKEN} >> /o\n",
        secrets=secrets,
    )
    assert site.text(image, "/o").split() == ["17", "400", "444", "6"]
    assert site.view(image).locate("/run").node is None and site.view(image).locate("/f").node is None
    leaked = subprocess.run(["grep", "-rl", "s3cret", site.paths.root, site.paths.run], capture_output=True, text=True, check=False)
    assert leaked.stdout == ""
    with pytest.raises(BuildError, match="secret none: not found"):
        site.build("FROM busybox\nRUN --mount=type=secret,id=none,required true\n")
    site.build("FROM busybox\nRUN --mount=type=secret,id=none test ! -e /run/secrets/none\n")


def test_the_agent_is_reachable_for_the_step_s_user(site: Site, tmp_path: Path) -> None:
    path = str(tmp_path / "agent")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        image = site.build(
            "FROM busybox\nUSER bob\nRUN --mount=type=ssh,uid=1000 test -S $SSH_AUTH_SOCK && test -w $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK > /tmp/o\n",
            ssh={"default": path},
        )
    assert site.text(image, "/tmp/o") == "/run/buildkit/ssh_agent.0\n"
    assert site.view(image).locate("/run").node is None


def test_a_key_file_gets_an_agent(site: Site, tmp_path: Path) -> None:
    key = tmp_path / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    image = site.build("FROM busybox\nRUN --mount=type=ssh,id=deploy test -S $SSH_AUTH_SOCK && echo yes > /o\n", ssh={"deploy": str(key)})
    assert site.text(image, "/o") == "yes\n"
    assert not _running(f"{site.paths.run}/build")


def test_insecure_steps_need_the_right(site: Site) -> None:
    with pytest.raises(BuildError, match="not allowed"):
        site.build("FROM busybox\nRUN --security=insecure true\n")
    image = site.build("FROM busybox\nRUN --security=insecure grep CapEff /proc/self/status > /o\n", privileged=True)
    assert int(site.text(image, "/o").split()[1], 16) > 0xA80425FB


def test_the_host_s_certificates_leave_nothing(site: Site) -> None:
    site.write(bundle="image's own\n")
    image = site.build(
        "FROM busybox\nCOPY bundle /etc/ssl/certs/ca-certificates.crt\n"
        "RUN cd /etc/ssl/certs; grep -c BEGIN ca-certificates.crt $SSL_CERT_FILE > /o; head -1 ca-certificates.crt >> /o\n"
        "RUN echo new > /etc/ssl/certs/new && mv /etc/ssl/certs/new /etc/ssl/certs/ca-certificates.crt\nRUN env | grep -c CERT > /o2; true\n",
        trust_host_ca=True,
    )  # fmt: skip
    first, second, own = site.text(image, "/o").splitlines()
    assert int(first.rpartition(":")[2]) == int(second.rpartition(":")[2]) > 0 and own == "image's own"
    assert site.text(image, "/etc/ssl/certs/ca-certificates.crt") == "new\n"
    assert not any("CERT" in e for e in site.config(image)["config"]["Env"])
    plain = site.build("FROM busybox\nCOPY bundle /etc/ssl/certs/ca-certificates.crt\nRUN true\n", trust_host_ca=True)
    assert site.text(plain, "/etc/ssl/certs/ca-certificates.crt") == "image's own\n"
    assert not any(files for _, _, files in os.walk(site.store.layers(plain.id)[-1]))


def test_independent_stages_run_beside_each_other(site: Site) -> None:
    began = time.monotonic()
    site.build(
        "FROM busybox AS a\nRUN sleep 1.5\nFROM busybox AS b\nRUN sleep 1.51\nFROM busybox AS unused\nRUN exit 1\n"
        "FROM busybox\nCOPY --from=a /etc /a\nCOPY --from=b /etc /b\n"
    )
    assert time.monotonic() - began < 2.9
    assert not any("exit 1" in name for name in site.steps())


def test_cancelling_kills_the_step_and_leaves_nothing(site: Site) -> None:
    async def cancelled() -> None:
        request = BuildRequest(context="", dockerfile_text="FROM busybox\nRUN sleep 61.7\n")
        with anyio.move_on_after(1.5):
            await build(site.store, request, site.events.append)

    anyio.run(cancelled)
    assert not _running("sleep\x0061.7")
    assert not [n for n in os.listdir(f"{site.store.root}/tmp") if not n.startswith("lease")]


def test_a_killed_build_takes_its_step_with_it(site: Site) -> None:
    program = (
        "import sys, anyio\nfrom runtime.build.building import build\nfrom runtime.build.request import BuildRequest\n"
        "from runtime.images.store import ImageStore\nfrom runtime.store import Paths\n"
        "request = BuildRequest(context='', dockerfile_text='FROM busybox\\nRUN sleep 62.9\\n')\n"
        "anyio.run(build, ImageStore(Paths(*sys.argv[1:])), request, lambda e: None)\n"
    )
    root = Path(__file__).resolve().parents[3]
    process = subprocess.Popen([sys.executable, "-c", program, site.paths.root, site.paths.run], cwd=root)
    _until(lambda: _running("sleep\x0062.9"))
    process.kill()
    process.wait()
    _until(lambda: not _running("sleep\x0062.9"))
    assert shutil.which("true") and site.build("FROM busybox\nRUN echo again > /o\n").id


def test_a_step_s_leftover_processes_do_not_outlive_it(site: Site) -> None:
    site.build("FROM busybox\nRUN sleep 63.3 & echo started\n")
    assert not _running("sleep\x0063.3")


def test_labels_tags_and_repeated_builds(site: Site) -> None:
    first = site.build("FROM busybox\nRUN echo x > /x\n", labels={"k": "v"}, references=("one:a", "two:b"))
    again = site.build("FROM busybox\nRUN echo x > /x\n", labels={"k": "v"}, references=("one:a", "two:b"))
    assert first.id == again.id and again.config.labels == {"k": "v"}
    assert site.store.get("two:b").id == first.id
    fresh = site.build("FROM busybox\nRUN echo x > /x\n", labels={"k": "v"}, no_cache=True)
    assert site.steps()["[2/2] RUN echo x > /x"] == "DONE" and replace(fresh.config, id="") != first.config


def _running(command: str) -> bool:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/cmdline") as file:
                    if command in file.read():
                        return True
            except (FileNotFoundError, ProcessLookupError):
                continue
    return False


def _until(condition: object, timeout: float = 20) -> None:
    deadline = time.monotonic() + timeout
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.05)
