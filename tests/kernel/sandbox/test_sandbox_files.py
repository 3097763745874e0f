"""What a container sees of the file system: mounts as Docker's, masks, devices, binds, volumes, tmpfs, and no way out through links."""

from __future__ import annotations

import os
import stat
import subprocess
import sys

import pytest

from runtime.errors import LaunchError, RuntimeFailure
from runtime.spec import BindMount, DeviceSpec, FileMount, ImageMount, TmpfsMount, VolumeMount
from tests.kernel.sandbox.conftest import drain, make_layer, text

pytestmark = pytest.mark.root

# (target, type, options) of a default container's mounts, as Docker Engine 28 shows them; cgroups and /proc masks are looked at apart.
DEFAULT_MOUNTS = {
    ("/", "overlay", "rw,relatime"),
    ("/proc", "proc", "rw,nosuid,nodev,noexec,relatime"),
    ("/dev", "tmpfs", "rw,nosuid"),
    ("/dev/pts", "devpts", "rw,nosuid,noexec,relatime"),
    ("/dev/mqueue", "mqueue", "rw,nosuid,nodev,noexec,relatime"),
    ("/dev/shm", "tmpfs", "rw,nosuid,nodev,noexec,relatime"),
    ("/sys", "sysfs", "ro,nosuid,nodev,noexec,relatime"),
    ("/proc/bus", "proc", "ro,nosuid,nodev,noexec,relatime"),
    ("/proc/fs", "proc", "ro,nosuid,nodev,noexec,relatime"),
    ("/proc/irq", "proc", "ro,nosuid,nodev,noexec,relatime"),
    ("/proc/sys", "proc", "ro,nosuid,nodev,noexec,relatime"),
}


def host_mounts() -> list[str]:
    """The host's mounts, without pinned namespaces (other tests make those at the same time)."""
    with open("/proc/self/mountinfo") as file:
        return [line for line in file if " - nsfs " not in line]


def mount_table(text: str) -> set[tuple[str, str, str]]:
    rows = [line.split(" - ") for line in text.splitlines() if " - " in line]
    return {(left.split()[4], right.split()[0], left.split()[5]) for left, right in rows}


def test_the_mount_table_is_dockers(host):
    table = mount_table(host.run("cat /proc/self/mountinfo").out)
    assert table >= DEFAULT_MOUNTS
    others = {t for t, _, _ in table - DEFAULT_MOUNTS}
    assert all(t.startswith(("/sys/fs/cgroup", "/proc/", "/sys/firmware", "/sys/devices/virtual/powercap")) for t in others), others


def test_nothing_is_mounted_on_the_host_while_it_runs_or_after(host):
    before = host_mounts()
    container = host.start(host.bundle(("sleep", "60")))
    assert host_mounts() == before
    container.kill()
    assert host_mounts() == before


def test_cgroups_are_read_only_and_only_its_own(host):
    result = host.run(
        "cat /proc/self/cgroup; grep /sys/fs/cgroup /proc/self/mountinfo | cut -d' ' -f4-6 | sort -u; cd /sys/fs/cgroup; for d in . pids; do mkdir $d/x; done"
    )
    assert all(line.endswith(":/") for line in result.lines if line[0].isdigit() and ":" in line)
    assert not any(host.made[0].id in line for line in result.lines if " /" in line)
    assert "Read-only file system" in result.out


MASKED = [
    p for p in ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts") if os.path.exists(p)
]  # what a kernel lacks needs no mask


@pytest.mark.parametrize("path", MASKED)
def test_masked_files_are_empty(host, path):
    assert host.run(f"wc -c < {path}").out.strip() == "0"


def test_masked_directories_are_empty_and_kernel_files_read_only(host):
    result = host.run("ls /proc/acpi /sys/firmware; echo x > /proc/sys/kernel/hostname; echo x > /sys/kernel/profiling")
    assert result.out.count("Read-only file system") == 2
    assert [line for line in result.lines if line and "Read-only" not in line and not line.endswith(":")] == []


def test_systempaths_unconfined_and_privileged_unmask(host):
    assert host.run("wc -c < /proc/interrupts", security_opt=("systempaths=unconfined",)).out.strip() != "0"
    privileged = host.run(
        "grep -c ' /proc/' /proc/self/mountinfo; mkdir /sys/fs/cgroup/memory/x /sys/fs/cgroup/x && echo writable; ls /dev | wc -l",
        privileged=True,
    )
    assert privileged.lines[0] == "0"
    assert int(privileged.lines[-1]) > 20


def test_devices_as_in_docker(host):
    result = host.run(
        "cd /dev; stat -c '%n %a %t,%T' full null random tty urandom zero; for l in fd stdin stdout stderr ptmx; do readlink $l; done; ls -d /dev/* | wc -l"
    )
    assert result.lines == [
        *["full 666 1,7", "null 666 1,3", "random 666 1,8", "tty 666 5,0", "urandom 666 1,9", "zero 666 1,5"],
        *["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2", "pts/ptmx", "14"],
    ]


def test_a_device_of_the_hosts_is_there_and_usable_and_others_are_not(host):
    given = host.run("head -c 3 /dev/mine | wc -c; stat -c %t,%T /dev/mine", devices=(DeviceSpec(source="/dev/zero", target="/dev/mine"),))
    assert given.lines == ["3", "1,5"]
    refused = host.run("mknod /tmp/kmsg c 1 11 && head -c 1 /tmp/kmsg")
    assert "Operation not permitted" in refused.out
    with pytest.raises(LaunchError, match=r"services.x.devices\[0\]: /etc/passwd: not a device node"):
        host.run("true", devices=(DeviceSpec(source="/etc/passwd", target="/dev/x", origin="services.x.devices[0]"),))


def test_a_directory_of_devices(host):
    made = f"{host.directory}/nodes"
    os.makedirs(f"{made}/deeper")
    os.mknod(f"{made}/one", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    os.mknod(f"{made}/deeper/two", stat.S_IFCHR | 0o600, os.makedev(1, 3))
    result = host.run("find /dev/all -type c | sort", devices=(DeviceSpec(source=made, target="/dev/all"),))
    assert result.lines == ["/dev/all/deeper/two", "/dev/all/one"]


def test_shm_has_its_size(host):
    assert host.run("df -k /dev/shm | tail -1 | awk '{print $2}'").out.strip() == str(64 << 10)
    assert host.run("df -k /dev/shm | tail -1 | awk '{print $2}'", shm_size=8 << 20).out.strip() == str(8 << 10)


def test_a_write_goes_to_the_upper_layer_only(host, busybox_layer):
    found = host.bundle("echo hello > /written; rm /etc/group; ls /etc")
    container = host.start(found)
    assert container.wait() == 0
    assert text(f"{found.root.upper}/written") == "hello\n"
    assert not os.path.exists(f"{busybox_layer}/written")
    assert os.path.exists(f"{busybox_layer}/etc/group")
    assert stat.S_ISCHR(os.lstat(f"{found.root.upper}/etc/group").st_mode)


def test_read_only_root(host):
    result = host.run("touch /x; touch /dev/shm/y && echo shm; touch /t/z && echo tmpfs", read_only=True, mounts=(TmpfsMount(target="/t"),))
    assert "Read-only file system" in result.out
    assert result.lines[-2:] == ["shm", "tmpfs"]


def test_the_etc_files_are_bound(host):
    found = host.bundle("cat /etc/hosts /etc/hostname; echo more >> /etc/hosts; ls /etc")
    place = found.root.mountpoint
    for name in ("hosts", "hostname", "resolv.conf"):
        with open(f"{place}/files/{name}", "w") as file:
            file.write(f"this is {name}\n")
    container = host.start(found)
    assert drain(container.logs).splitlines()[:2] == ["this is hosts", "this is hostname"]
    assert container.wait() == 0
    assert text(f"{place}/files/hosts") == "this is hosts\nmore\n"


def test_binds_of_files_and_directories(host):
    os.makedirs(f"{host.directory}/d/sub")
    with open(f"{host.directory}/d/f", "w") as file:
        file.write("content\n")
    os.chmod(f"{host.directory}/d", 0o777)
    mounts = (
        BindMount(source=f"{host.directory}/d", target="/deep/er/dir"),
        BindMount(source=f"{host.directory}/d/f", target="/deep/file", read_only=True),
        BindMount(source=f"{host.directory}/d", target="/ro", read_only=True),
        BindMount(source=f"{host.directory}/made/by/us", target="/made", create_source=True),
    )
    result = host.run(
        "cat /deep/er/dir/f /deep/file; touch /deep/er/dir/new; touch /made/x; touch /ro/x; echo y > /deep/file", mounts=mounts
    )
    assert result.lines[:2] == ["content", "content"]
    assert result.out.count("Read-only file system") == 2
    assert os.path.exists(f"{host.directory}/d/new")
    assert os.path.exists(f"{host.directory}/made/by/us/x")


def test_read_only_reaches_what_is_mounted_below(host):
    source = f"{host.directory}/tree"
    os.makedirs(f"{source}/below")
    subprocess.run(["mount", "-t", "tmpfs", "none", f"{source}/below"], check=True)
    try:
        result = host.run(
            "touch /a/below/x; touch /b/below/x && echo writable; touch /c/x; ls /c",
            mounts=(
                BindMount(source=source, target="/a", read_only=True),
                BindMount(source=source, target="/b", read_only=True, recursive="writable"),
                BindMount(source=source, target="/c", recursive="disabled"),
            ),
        )
    finally:
        subprocess.run(["umount", f"{source}/below"], check=True)
    assert "touch: /a/below/x: Read-only file system" in result.out
    assert "writable" in result.out
    assert result.lines[-2:] == ["below", "x"]


def test_propagation(host):
    source = f"{host.directory}/shared"
    os.makedirs(source)
    subprocess.run(["mount", "--bind", source, source], check=True)
    subprocess.run(["mount", "--make-shared", source], check=True)
    try:
        mounts = (
            BindMount(source=source, target="/private"),
            BindMount(source=source, target="/slave", propagation="rslave"),
            BindMount(source=source, target="/shared", propagation="rshared"),
        )
        container = host.start(host.bundle(("sleep", "60"), mounts=mounts, privileged=True))
        os.makedirs(f"{source}/x")
        subprocess.run(["mount", "-t", "tmpfs", "none", f"{source}/x"], check=True)
        os.close(os.open(f"{source}/x/seen", os.O_CREAT))
        assert container.exec("ls /private/x /slave/x /shared/x").out.split() == ["/private/x:", "/shared/x:", "seen", "/slave/x:", "seen"]
        subprocess.run(["umount", f"{source}/x"], check=True)
        os.makedirs(f"{source}/y")
        assert container.exec("mount -t tmpfs none /shared/y && touch /shared/y/inner").code == 0
        assert os.listdir(f"{source}/y") == ["inner"]
    finally:
        host.clean()
        subprocess.run(["umount", "-q", f"{source}/y"], check=False)
        subprocess.run(["umount", source], check=True)


def test_a_missing_bind_source_is_named(host):
    mounts = (BindMount(source="/no/such/place", target="/x", origin="services.web.volumes[0]"),)
    with pytest.raises(LaunchError, match=r"services.web.volumes\[0\]: bind source path does not exist: /no/such/place"):
        host.run("true", mounts=mounts)


def test_a_file_on_a_directory_is_explained(host):
    with pytest.raises(LaunchError, match=r"services.web.volumes\[0\]: /etc: ") as failure:
        host.run("true", mounts=(BindMount(source="/etc/hostname", target="/etc", origin="services.web.volumes[0]"),))
    assert "file" in (failure.value.hint or "")


def test_volumes_and_subpaths(host):
    data = f"{host.directory}/data"
    os.makedirs(f"{data}/in/side")
    os.symlink("/etc", f"{data}/escape")
    os.makedirs(f"{data}/etc")
    volumes = {"v": data}
    result = host.run(
        "touch /v/a /s/b; ls /e | wc -l",
        mounts=(
            VolumeMount(volume="v", target="/v"),
            VolumeMount(volume="v", target="/s", subpath="in/side"),
            VolumeMount(volume="v", target="/e", subpath="escape"),
        ),
        volumes=volumes,
    )
    assert result.out.strip() == "0", "a link in a volume stays in the volume"
    assert os.path.exists(f"{data}/a")
    assert os.path.exists(f"{data}/in/side/b")
    with pytest.raises(LaunchError, match="bind source path does not exist"):
        host.run("true", mounts=(VolumeMount(volume="v", target="/s", subpath="missing"),), volumes=volumes)
    with pytest.raises(RuntimeFailure, match="no such volume: w"):
        host.run("true", mounts=(VolumeMount(volume="w", target="/s"),), volumes=volumes)


def test_tmpfs_with_dockers_defaults_and_ones_own(host):
    result = host.run(
        "grep -E ' /(foo|tmp|bar|ro) ' /proc/self/mountinfo | awk '{print $5, $6}' | sort; stat -c '%n %a %u' /foo /tmp /bar;"
        "df -k /tmp | tail -1 | awk '{print $2}'",
        mounts=(
            TmpfsMount(target="/foo"),
            TmpfsMount(target="/tmp", size=1 << 20),
            TmpfsMount(target="/bar", mode=0o700, options=("exec", "uid=5")),
            TmpfsMount(target="/ro", read_only=True),
        ),
    )
    assert result.lines == [
        *["/bar rw,nosuid,nodev,relatime", "/foo rw,nosuid,nodev,noexec,relatime", "/ro ro,nosuid,nodev,noexec,relatime"],
        *["/tmp rw,nosuid,nodev,noexec,relatime", "/foo 1777 0", "/tmp 1777 0", "/bar 700 5", "1024"],
    ]


def test_prepared_files_are_bound_read_only(host):
    found = host.bundle(
        "stat -c '%a %u %g' /run/secrets/s; cat /run/secrets/s; echo x > /run/secrets/s",
        mounts=(FileMount(target="/run/secrets/s", content=""),),
    )
    prepared = f"{found.root.mountpoint}/files/mounts/000"
    with open(prepared, "w") as file:
        file.write("secret\n")
    os.chmod(prepared, 0o440)
    os.chown(prepared, 7, 8)
    container = host.start(found)
    out = drain(container.logs)
    container.wait()
    assert out.splitlines()[:2] == ["440 7 8", "secret"]
    assert "Read-only file system" in out


def test_the_content_of_another_image(host):
    base = make_layer(f"{host.directory}/i1", {"a/base": "base\n", "a/hidden": "old\n"})
    top = make_layer(f"{host.directory}/i2", {"a/hidden": "new\n"})
    images = {"two": [base, top], "one": [base]}
    result = host.run(
        "cat /i/a/base /i/a/hidden /s/hidden /o/a/hidden; touch /i/x",
        mounts=(
            ImageMount(image="two", target="/i"),
            ImageMount(image="two", target="/s", subpath="a"),
            ImageMount(image="one", target="/o"),
        ),
        images=images,
    )
    assert result.lines[:4] == ["base", "new", "new", "old"]
    assert "Read-only file system" in result.out


def test_many_layers(host, busybox_layer):
    """130 layers: their paths are some 10 kB, and mount(2) takes 4."""
    layers = [busybox_layer]
    for number in range(130):
        layers.append(make_layer(f"{host.directory}/{'long' * 12}/{number:03d}", {f"n/{number}": f"{number}\n", "last": f"{number}\n"}))
    result = host.run("ls /n | wc -l; cat /last", layers=layers)
    assert result.lines == ["130", "129"]


def test_many_layers_the_older_way(host, busybox_layer):
    """Kernels before 6.8 have no lowerdir+: the mount(2) way must do the same."""
    layers = [busybox_layer]
    for number in range(130):
        layers.append(make_layer(f"{host.directory}/a,b:c\\d/{number:03d}", {f"n/{number}": f"{number}\n"}))
    os.makedirs(f"{host.directory}/point/upper")
    os.makedirs(f"{host.directory}/point/work")
    script = (
        "import os, sys\n"
        "from runtime.native import syscalls\n"
        "from runtime.overlayfs import _by_descriptors\n"
        "syscalls.unshare(syscalls.CLONE_NEWNS)\n"
        "syscalls.mount('none', '/', '', syscalls.MS_REC | syscalls.MS_PRIVATE)\n"
        "place = sys.argv[1]\n"
        "_by_descriptors(sys.argv[2:], f'{place}/point/upper', f'{place}/point/work', f'{place}/point')\n"
        "print(len(os.listdir(f'{place}/point/n')), os.path.exists(f'{place}/point/bin/sh'))\n"
        "open(f'{place}/point/w', 'w').close()\n"
    )
    done = subprocess.run([sys.executable, "-c", script, host.directory, *layers], capture_output=True, text=True, check=False)
    assert done.stdout == "130 True\n", done.stderr
    assert os.path.exists(f"{host.directory}/point/upper/w")


HOSTILE = {
    "absolute": "/etc",
    "upwards": "../../../../../../../../etc",
    "by_descriptor": "/proc/self/fd/3",
    "by_root": "/proc/1/root",
    "by_cwd": "/proc/self/cwd",
}


@pytest.mark.parametrize("link", sorted(HOSTILE))
def test_a_link_in_an_image_leads_nowhere_but_into_the_image(host, busybox_layer, link):
    """Targets, working directory and mount points that are hostile links: the host is the same afterwards."""
    layer = make_layer(f"{host.directory}/hostile", {}, {"evil": HOSTILE[link]})
    before = sorted(os.listdir("/etc")), sorted(os.listdir("/"))
    mounts = (TmpfsMount(target="/evil/escaped"), BindMount(source=host.directory, target="/evil/bound"))
    try:
        host.run("true", layers=[busybox_layer, layer], mounts=mounts)
    except LaunchError as error:
        assert "evil" in error.message
    assert (sorted(os.listdir("/etc")), sorted(os.listdir("/"))) == before
    assert not os.path.exists("/etc/escaped")


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_kernel_directories_that_are_links(host, busybox_layer, name):
    """An image whose /dev is a link must not bring our mounts to anywhere but into itself."""
    os.makedirs(f"{host.directory}/base")
    subprocess.run(["cp", "-a", f"{busybox_layer}/.", f"{host.directory}/base"], check=True)
    os.rmdir(f"{host.directory}/base/{name}")
    os.symlink("/proc/self/fd/3" if name == "dev" else "/etc", f"{host.directory}/base/{name}")
    before = host_mounts()
    try:
        result = host.run("cat /etc/passwd", layers=[f"{host.directory}/base"])
        assert "root" in result.out or result.code
    except LaunchError:
        pass
    assert host_mounts() == before


def test_a_dangling_link_as_target_is_made_inside(host, busybox_layer):
    layer = make_layer(f"{host.directory}/dangling", {}, {"data": "/srv/real/data", "file": "srv/other/file"})
    mounts = (BindMount(source=host.directory, target="/data"), BindMount(source="/etc/hostname", target="/file"))
    result = host.run("ls -d /srv/real/data /srv/other/file", layers=[busybox_layer, layer], mounts=mounts)
    assert sorted(result.lines) == ["/srv/other/file", "/srv/real/data"]
    assert not os.path.exists("/srv/real")


def test_a_hostile_passwd_does_not_block(host, busybox_layer):
    """A FIFO or device in the place of /etc/passwd must not hang the launch."""
    layer = make_layer(f"{host.directory}/fifo", {"etc": None})
    os.mkfifo(f"{layer}/etc/passwd")
    assert host.run("echo fine", layers=[busybox_layer, layer]).out == "fine\n"


def test_the_containers_modules_are_not_imported(host, busybox_layer):
    """An image with Python files where ours are must not have them run by the engine."""
    import runtime

    package = os.path.dirname(os.path.abspath(runtime.__file__)).lstrip("/")
    files = {f"{package}/{n}.py": "import os; os.mkdir('/pwned')" for n in ("users", "security_filter", "enter")}
    files |= {f"usr/lib/python3.11/{n}.py": "import os; os.mkdir('/pwned')" for n in ("encodings/idna", "locale", "pwd", "stat")}
    layer = make_layer(f"{host.directory}/python", files)
    assert host.run("ls -d /pwned", layers=[busybox_layer, layer]).code != 0
