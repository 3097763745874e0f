"""The commands over images, as a user types them, and a project that travels in one file."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.images import ImageStore
from runtime.images.push import push

from .conftest import Registry, make_image
from .faults import Fault, FaultProxy

pytestmark = pytest.mark.root
PROJECT = Path(__file__).parents[3]


class Pycompose:
    """Runs the program on one store."""

    def __init__(self, store: ImageStore, home: Path) -> None:
        self.environment = {
            **os.environ,
            "PYCOMPOSE_ROOT": store.paths.root,
            "PYCOMPOSE_RUN": store.paths.run,
            "PYTHONPATH": str(PROJECT),
            "NO_COLOR": "1",
        }
        self.home = home

    def __call__(self, *words: str, stdin: bytes = b"", code: int = 0) -> str:
        done = self.run(*words, stdin=stdin)
        assert done.returncode == code, done.stderr.decode()
        assert b"Traceback" not in done.stderr
        return done.stdout.decode()

    def run(self, *words: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [sys.executable, "-m", "compose", *words],
            input=stdin,
            capture_output=True,
            env=self.environment,
            cwd=self.home,
            check=False,
            timeout=120,
        )


@pytest.fixture
def pycompose(store: ImageStore, scratch: Path) -> Pycompose:
    return Pycompose(store, scratch)


def test_a_life_of_an_image(pycompose: Pycompose, store: ImageStore, sample: str, scratch: Path) -> None:
    assert pycompose("image", "ls", "-q", "--no-trunc").split() == [sample]
    assert pycompose("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split() == ["sample:1"]
    (row,) = (json.loads(line) for line in pycompose("image", "ls", "--format", "json").splitlines())
    assert (row["ID"], row["Size"]) == (sample[7:19], "200kB")
    pycompose("image", "tag", "sample:1", "other/name")
    assert pycompose("image", "ls", "-q", "--filter", "reference=other/*").split() == [sample[7:19]]
    (found,) = json.loads(pycompose("image", "inspect", "other/name"))
    assert (found["Id"], sorted(found["RepoTags"]), found["Config"]["Env"]) == (sample, ["other/name:latest", "sample:1"], ["A=1"])
    assert [line.split()[0] for line in pycompose("image", "history", "sample:1").splitlines()] == [
        "IMAGE",
        sample[7:19],
        "<missing>",
        "<missing>",
    ]
    pycompose("image", "save", "-o", "x.tar", "sample:1", "other/name")
    assert pycompose("image", "rm", "sample:1") == "Untagged: sample:1\n"
    assert pycompose("image", "rm", "other/name") == f"Untagged: other/name:latest\nDeleted: {sample}\n"
    assert pycompose("image", "load", "-i", "x.tar") == "Loaded image: sample:1\nLoaded image: other/name:latest\n"
    assert pycompose("image", "load", stdin=(scratch / "x.tar").read_bytes()).startswith("Loaded image: ")
    pycompose("image", "export", "-o", "root.tar", "sample:1")
    with tarfile.open(scratch / "root.tar") as tar:
        assert "etc/new0" in tar.getnames()
    pycompose("image", "import", "-c", 'CMD ["/bin/su"]', "root.tar", "flat:1")
    assert store.get("flat:1").config.command == ("/bin/su",)
    assert "everything is as its digests say" in pycompose("image", "verify")
    usage = [json.loads(line) for line in pycompose("image", "df", "--format", "json").splitlines()]
    assert usage[-1]["Type"] == "Total"
    assert sum(u["Size"] for u in usage[:-1]) == usage[-1]["Size"]
    assert "Total reclaimed space" in pycompose("image", "prune", "--all", "--force")
    assert pycompose("image", "ls", "-q") == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("rm", "nothing"), "no such image: nothing"),
        (("inspect", "nothing"), "no such image: nothing"),
        (("inspect", "No Such"), "invalid reference"),
        (("tag", "nothing", "x"), "no such image: nothing"),
        (("save", "nothing"), "no such image: nothing"),
        (("load", "-i", "nowhere.tar"), "nowhere.tar: No such file or directory"),
        (("ls", "--filter", "colour=red"), "invalid filter"),
        (("prune", "-f", "--filter", "x"), "invalid filter"),
        (("bootstrap", "alpine"), "cannot be bootstrapped"),
        (("bootstrap", "debian:12.5"), "not a suite"),
        (("pul", "x"), "did you mean pull?"),
    ],
)
def test_mistakes_are_told(pycompose: Pycompose, words: tuple[str, ...], told: str) -> None:
    done = pycompose.run("image", *words)
    assert done.returncode == 1
    assert told in done.stderr.decode()
    assert b"Traceback" not in done.stderr


def test_a_damaged_store_is_told_by_the_exit_code(pycompose: Pycompose, store: ImageStore, sample: str) -> None:
    (Path(store.layers(sample)[1]) / "data").write_bytes(b"x")
    assert "layer sha256:" in pycompose("image", "verify", code=1)


def test_pull_and_push_and_login(
    pycompose: Pycompose, serve: Callable[..., Registry], registries: Callable[[str], None], scratch: Path, store: ImageStore, sample: str
) -> None:
    registry = serve(port=5443, tls=True, user="me", password="secret")
    registries(f'[transfer]\nattempts = 2\n[registry."{registry.host}"]\nca = "{registry.ca}"\n')
    pycompose.environment |= {"PYCOMPOSE_REGISTRIES": str(scratch / "registries.toml"), "DOCKER_CONFIG": str(scratch / "docker")}
    name = f"{registry.host}/x:1"
    pycompose("image", "tag", "sample:1", name)
    refused = pycompose.run("image", "push", name)
    assert refused.returncode == 1
    assert f"pycompose login {registry.host}" in refused.stderr.decode()
    assert "Login Succeeded" in pycompose("login", "-u", "me", "--password-stdin", registry.host, stdin=b"secret\n")
    digest = pycompose("image", "push", "-q", name).strip()
    pycompose("image", "rm", "-f", sample)
    done = pycompose.run("--progress", "json", "image", "pull", name)
    assert done.returncode == 0
    events = [json.loads(line) for line in done.stderr.decode().splitlines()]
    assert {"Downloading", "Pull complete"} & {e["text"] for e in events}
    assert pycompose("image", "ls", "--digests", "--format", "{{.Digest}}").split() == [digest]
    plain = pycompose.run("image", "pull", name)
    assert f"Image is up to date for {name}" in plain.stderr.decode()
    assert "Removing login credentials" in pycompose("logout", registry.host)
    assert "Not logged in" in pycompose("logout", registry.host)


def test_images_of_services_are_pushed_side_by_side_and_shared_layers_once(
    pycompose: Pycompose, serve: Callable[..., Registry], registries: Callable[[str], None], store: ImageStore, scratch: Path
) -> None:
    registry = serve()
    registries("[transfer]\nattempts = 1\n")
    first = make_image(store, "first:1", seed=1)
    service = "{image: '%s', build: {context: .%s}}"
    names = [f"{registry.host}/{n}:1" for n in "abcdef"]
    for name in (*names, f"{registry.host}/a:extra", "localhost:1/gone:1"):
        store.tag(first, name)
    services = {
        n: service % (name, f", tags: ['{registry.host}/a:extra']" if n == "a" else "") for n, name in zip("abcdef", names, strict=True)
    }
    text = "".join(f"  {key}: {value}\n" for key, value in services.items())
    (scratch / "compose.yaml").write_text(f"name: pushing\nservices:\n{text}  plain: {{image: 'first:1'}}\n")
    told = pycompose.run("push").stderr.decode()
    assert [told.count(f" Image {name}  Pushed\n") for name in (*names, f"{registry.host}/a:extra")] == [1] * 7, told
    assert " plain  Skipped\n" in told
    assert told.count("Mounted from") + told.count("Layer already exists") == 3 * 7 - 3, "one of seven sends the three layers"
    assert all(pycompose("image", "pull", "-q", name) for name in names)

    (scratch / "compose.yaml").write_text(f"name: pushing\nservices:\n{text}  gone: {service % ('localhost:1/gone:1', '')}\n")
    refused = pycompose.run("push", "-q")
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert refused.stderr.decode().startswith("localhost:1 cannot be reached")
    kept_going = pycompose.run("push", "-q", "--ignore-push-failures")
    assert kept_going.returncode == 0
    assert kept_going.stderr.decode().startswith("warning: localhost:1 cannot be reached")


def test_a_project_travels_in_one_file(
    pycompose: Pycompose, store: ImageStore, new_store: Callable[..., ImageStore], scratch: Path
) -> None:
    make_image(store, "app:1", seed=1)
    make_image(store, "travel-built:latest", seed=2)
    model = """
        name: travel
        services:
          app:
            image: app:1
            command: ["echo", "$$HOME ${WHO}"]
            configs: [settings]
            volumes: ["./data:/data", "kept:/kept"]
          built: {build: .}
        volumes: {kept: {}}
        configs: {settings: {file: ./settings.conf}}
        secrets: {password: {file: ./password}}
    """
    (scratch / "compose.yaml").write_text("\n".join(line[8:] for line in model.splitlines()))
    (scratch / "settings.conf").write_bytes(b"\x00binary\xff")
    (scratch / "password").write_text("secret")
    pycompose.environment["WHO"] = "me"
    done = pycompose.run("bundle", "-o", "t.tar")
    assert done.returncode == 0, done.stderr.decode()
    assert "data (service app) is bound from this host" in done.stderr.decode()
    assert os.stat(scratch / "t.tar").st_mode & 0o777 == 0o600
    away = scratch / "away"
    away.mkdir()
    other = Pycompose(new_store(), away)
    assert "up -d" in other("load", "--no-start", "../t.tar")
    assert (away / "travel/files/configs-settings").read_bytes() == b"\x00binary\xff"
    there = json.loads(other("-f", "travel/compose.yaml", "config", "--format", "json"))
    assert there["services"]["app"]["command"] == ["echo", "$$HOME me"]
    assert there["services"]["built"]["image"] == "travel-built"
    assert "build" not in there["services"]["built"]
    assert set(other("image", "ls", "--format", "{{.Repository}}:{{.Tag}}").split()) == {"app:1", "travel-built:latest"}
    assert other("image", "verify")


def test_a_bundle_without_its_image_or_its_project(pycompose: Pycompose, store: ImageStore, sample: str, scratch: Path) -> None:
    (scratch / "compose.yaml").write_text("services: {a: {image: nothing}}")
    done = pycompose.run("bundle")
    assert (done.returncode, "the image nothing is not there" in done.stderr.decode()) == (1, True)
    pycompose("image", "save", "-o", "plain.tar", "sample:1")
    done = pycompose.run("load", "plain.tar")
    assert (done.returncode, "no project" in done.stderr.decode()) == (1, True)


def test_ctrl_c_ends_a_stalled_pull_and_leaves_nothing(
    pycompose: Pycompose,
    serve: Callable[..., Registry],
    registries: Callable[[str], None],
    scratch: Path,
    store: ImageStore,
    new_store: Callable[..., ImageStore],
) -> None:
    registries("[transfer]\ntimeout = 20\n")
    registry = serve()
    make_image(store, f"{registry.host}/x:1", size=2_000_000)
    push(store, f"{registry.host}/x:1")
    proxy = FaultProxy("127.0.0.1:5000", 5001)
    other = Pycompose(new_store(), scratch)
    other.environment |= {"PYCOMPOSE_REGISTRIES": str(scratch / "registries.toml")}
    try:
        proxy.faults.append(Fault("GET .*/blobs/", "stall", times=99, at=50))
        command = [sys.executable, "-m", "compose", "image", "pull", "localhost:5001/x:1"]
        process = subprocess.Popen(command, env=other.environment, cwd=scratch, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert proxy.stalled.wait(60)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=15)
    finally:
        proxy.close()
    assert process.returncode == 130, errors.decode()
    assert b"Traceback" not in errors
    assert other("image", "ls", "-q") == ""
    other("image", "prune", "-f")
    root = Path(other.environment["PYCOMPOSE_ROOT"])
    assert list((root / "images/tmp").iterdir()) == []
