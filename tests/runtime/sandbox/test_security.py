"""Capability sets, security options, users, and seccomp programs, the last by interpreting the BPF."""

from __future__ import annotations

import json
import os
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime import security
from runtime.errors import LaunchError, RuntimeFailure, Unsupported
from runtime.security_filter import compile_profile
from runtime.users import identify

ALLOW, EPERM, ENOSYS = 0x7FFF0000, 0x00050001, 0x00050026
X86_64, I386 = 0xC000003E, 0x40000003


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ((), (), set(security.DEFAULT_CAPABILITIES)),
        (("NET_ADMIN",), ("CHOWN",), set(security.DEFAULT_CAPABILITIES) - {"CHOWN"} | {"NET_ADMIN"}),
        (("cap_net_admin",), ("all",), {"NET_ADMIN"}),
        (("ALL",), (), set(security.CAPABILITIES)),
        (("ALL",), ("SYS_ADMIN",), set(security.CAPABILITIES) - {"SYS_ADMIN"}),
        ((), ("ALL",), set()),
        (("ALL",), ("ALL",), set(security.CAPABILITIES)),
    ],
)
def test_capability_sets(add, drop, expected):
    assert set(security.capability_set(add, drop)) == expected


def test_dockers_default_mask():
    assert security.capability_mask(security.DEFAULT_CAPABILITIES) == 0x00000000A80425FB


def test_an_unknown_capability_comes_with_the_nearest():
    with pytest.raises(RuntimeFailure, match="unknown capability: NET_ADMINN") as failure:
        security.capability_set(("NET_ADMINN",), ())
    assert failure.value.hint == "did you mean NET_ADMIN?"


def test_security_options():
    found = security.security_options(("no-new-privileges", "seccomp:unconfined", "apparmor=mine", "label=disable", "label:type:x"))
    assert (found.no_new_privileges, found.seccomp, found.apparmor, found.labels) == (True, "unconfined", "mine", ("disable", "type:x"))
    assert not security.security_options(("no-new-privileges=false",)).no_new_privileges
    assert security.security_options(("systempaths=unconfined",)).unmasked
    for bad in ("foo=bar", "no-new-privileges=maybe", "systempaths=x"):
        with pytest.raises(RuntimeFailure, match="invalid security_opt"):
            security.security_options((bad,))


PASSWD = "root:x:0:0:root:/root:/bin/sh\n# comment:x:9:9::/:\nbroken\napp:x:1000:1001:app:/home/app:/bin/sh\n77:x:5:5::/seven:\n"
GROUP = "root:x:0:\nstaff:x:50:app,other\nwheel:x:10:other,app\n"


@pytest.mark.parametrize(
    ("user", "added", "expected"),
    [
        ("", (), (0, 0, (0,), "/root")),
        ("app", (), (1000, 1001, (1001, 50, 10), "/home/app")),
        ("app:staff", (), (1000, 50, (50,), "/home/app")),
        ("1000:7", ("wheel", "8"), (1000, 7, (7, 10, 8), "/home/app")),
        ("4242", (), (4242, 0, (0,), "/")),
        (":50", (), (0, 50, (50,), "/root")),
        ("77", (), (5, 5, (5,), "/seven")),
    ],
)
def test_identities(user, added, expected):
    found = identify(user, added, PASSWD, GROUP)
    assert (found.uid, found.gid, found.groups, found.home) == expected


@given(st.text(), st.text(), st.text())
def test_hostile_files_never_crash(user, passwd, group):
    try:
        found = identify(user, (), passwd, group)
    except LaunchError:
        return
    assert 0 <= found.uid < 2**31
    assert 0 <= found.gid < 2**31


def test_ids_out_of_range_are_refused():
    with pytest.raises(LaunchError, match="uids and gids must be in range"):
        identify("4294967296", (), "", "")
    with pytest.raises(LaunchError):
        identify("app", (), "app:x:99999999999:1::/:", "")


def interpret(program: bytes, number: int, architecture: int = X86_64, arguments: tuple[int, ...] = ()) -> int:
    """What the kernel's seccomp would answer (the instructions that libseccomp and we emit)."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, *(arguments + (0,) * (6 - len(arguments))))
    code, place, accumulator = struct.unpack(f"={'HBBI' * (len(program) // 8)}", program), 0, 0
    while True:
        operation, true, false, constant = code[place * 4 : place * 4 + 4]
        place += 1
        match operation:
            case 0x20:
                accumulator = struct.unpack_from("=I", data, constant)[0]
            case 0x54:
                accumulator &= constant
            case 0x05:
                place += constant
            case 0x15:
                place += true if accumulator == constant else false
            case 0x25:
                place += true if accumulator > constant else false
            case 0x35:
                place += true if accumulator >= constant else false
            case 0x45:
                place += true if accumulator & constant else false
            case 0x06:
                return constant
            case _:
                raise AssertionError(f"instruction {operation:#x}")


def profile() -> str:
    path = f"{os.path.dirname(security.__file__)}/profiles/seccomp.json"
    with open(path) as file:
        return file.read()


def numbers() -> dict[str, int]:
    """System call numbers of x86_64, from this machine's headers or, without them, from libseccomp."""
    import ctypes

    library = ctypes.CDLL("libseccomp.so.2")
    names = set(re.findall(r'"([a-z0-9_]+)"', profile())) | {"keyctl", "add_key", "kexec_load", "userfaultfd"}
    found = {n: library.seccomp_syscall_resolve_name_arch(X86_64, n.encode()) for n in names}
    return {n: v for n, v in found.items() if v >= 0}


@pytest.fixture(scope="module")
def default() -> bytes:
    return compile_profile("", security.DEFAULT_CAPABILITIES, "x86_64")


def test_the_default_profile_allows_what_it_lists(default):
    rows = json.loads(profile())["syscalls"]
    listed = set(rows[0]["names"])
    known = numbers()
    assert len(listed & set(known)) > 280
    assert {n for n in listed & set(known) if interpret(default, known[n]) != ALLOW} == set()


@pytest.mark.parametrize(
    "name", ["keyctl", "add_key", "kexec_load", "userfaultfd", "mount", "umount2", "unshare", "setns", "bpf", "reboot", "init_module"]
)
def test_the_default_profile_refuses(default, name):
    assert interpret(default, numbers()[name]) == EPERM


def test_arguments_decide(default):
    number = numbers()
    assert interpret(default, number["clone"], arguments=(0x11,)) == ALLOW
    assert interpret(default, number["clone"], arguments=(0x10000000,)) == EPERM  # CLONE_NEWUSER
    assert interpret(default, number["clone3"]) == ENOSYS
    assert interpret(default, number["socket"], arguments=(2,)) == ALLOW
    assert interpret(default, number["socket"], arguments=(40,)) == EPERM  # AF_VSOCK
    assert interpret(default, number["personality"], arguments=(0x20000,)) == ALLOW
    assert interpret(default, number["personality"], arguments=(0x40000,)) == EPERM


def test_calls_that_libseccomp_or_nobody_knows_yet(default):
    assert interpret(default, 452) == ALLOW  # fchmodat2, which glibc tries first
    assert interpret(default, 466) == ALLOW
    assert interpret(default, 467) == ENOSYS
    assert interpret(default, 3000) == ENOSYS
    assert interpret(default, 452, I386) == ALLOW
    assert interpret(default, 0x40000000 | 500) != ALLOW


def test_32_bit_programs_run(default):
    assert interpret(default, 4, I386) == ALLOW  # write
    assert interpret(default, 21, I386) == EPERM  # mount


def test_capabilities_open_what_belongs_to_them():
    program = compile_profile("", (*security.DEFAULT_CAPABILITIES, "SYS_ADMIN"), "x86_64")
    number = numbers()
    assert {interpret(program, number[n]) for n in ("mount", "umount2", "unshare", "setns", "bpf", "clone3")} == {ALLOW}
    assert interpret(program, number["clone"], arguments=(0x10000000,)) == ALLOW
    assert interpret(program, number["reboot"]) == EPERM
    without = compile_profile("", (), "x86_64")
    assert interpret(without, number["chroot"]) == EPERM


def test_a_profile_that_allows_all_but_some():
    profile = json.dumps(
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "chmod", "action": "SCMP_ACT_ERRNO", "errnoRet": 13, "args": []}]}
    )
    program = compile_profile(profile, (), "x86_64")
    assert interpret(program, numbers()["chmod"]) == 0x0005000D
    assert interpret(program, 3000) == ALLOW


@pytest.mark.parametrize(
    "text", ["[]", "{", "{}", '{"defaultAction":"X"}', '{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"action":"SCMP_ACT_ALLOW"}]}']
)
def test_malformed_profiles_are_errors_of_ours(text):
    with pytest.raises(LaunchError, match="seccomp profile"):
        compile_profile(text, ())


def test_sysctl_names():
    security.check_sysctl("net.ipv4.ip_forward", own_network=True, own_ipc=False)
    security.check_sysctl("fs.mqueue.msg_max", own_network=False, own_ipc=True)
    with pytest.raises(Unsupported, match="not in a separate kernel namespace"):
        security.check_sysctl("kernel.panic", own_network=True, own_ipc=True)
