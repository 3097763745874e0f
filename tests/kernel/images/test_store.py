"""The store: names, removal, garbage, disk figures, damage, several processes at once, and processes that die."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import codec
from runtime.errors import Conflict, ImageError, InUse, NotFound
from runtime.images import ImageStore
from runtime.images.layer import Layer
from runtime.images.maintenance import Damage
from runtime.spec import ContainerSpec
from runtime.store import write_atomic

from .conftest import entry, make_image, tar_of
from .test_unpack import listing

pytestmark = pytest.mark.root
Stores = Callable[..., ImageStore]
PROJECT = Path(__file__).parents[3]


def du(path: str) -> int:
    return int(subprocess.run(["du", "-s", "--block-size=1", path], capture_output=True, text=True, check=True).stdout.split()[0])


def container(store: ImageStore, image_id: str, name: str) -> str:
    """A container's records, as the engine writes them."""
    directory = store.paths.container("p", f"{abs(hash(name)):064x}")
    os.makedirs(f"{directory}/upper")
    spec = ContainerSpec(id="c" * 64, name=name, project="p", image="sample:1", image_id=image_id, environment={"B": "2"}, command=("run",))
    write_atomic(f"{directory}/spec.json", codec.dumps(spec))
    write_atomic(f"{directory}/image.json", codec.dumps(store.config(image_id)))
    return directory


def test_finding_by_every_name(store: ImageStore, sample: str) -> None:
    other = make_image(store, "other/thing:2", seed=1)
    for name in ("sample:1", "docker.io/library/sample:1", sample, sample[7:], sample[7:19], f"sha256:{sample[7:20]}", f"sample@{sample}"):
        found = store.find(name)
        assert found is not None, name
        assert found.id == sample, name
    assert store.find("sample") is None
    assert store.find("nothing:1") is None
    assert store.find("ff" * 32) is None
    assert [i.id for i in store.list()] == sorted([sample, other])
    assert store.get(sample).config.environment == ("A=1",)
    with pytest.raises(NotFound, match="no such image: nope"):
        store.get("nope")
    with pytest.raises(ImageError, match="invalid reference"):
        store.find("No Such")


def test_an_ambiguous_start_of_an_id_is_told(store: ImageStore) -> None:
    made: dict[str, str] = {}
    for seed in range(2000):
        layer = store.add_layer(io.BytesIO(tar_of(entry("f", b"x")))) if not seed else None
        if layer:
            diff_id = layer.diff_id
        config = f'{{"architecture":"amd64","os":"linux","n":{seed},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}'.encode()
        import hashlib

        start = hashlib.sha256(config).hexdigest()[:4]
        if start in made:
            for raw in (made[start], config.decode()):
                store.add_image(raw.encode(), None, [])
            with pytest.raises(Conflict, match="start of 2 image ids"):
                store.find(start)
            return
        made[start] = config.decode()
    raise AssertionError("no two ids began alike")


def test_layers_are_shared_and_given_in_overlay_order(store: ImageStore, sample: str) -> None:
    other = make_image(store, "other:1", seed=1)
    assert store.layers(sample)[0] == store.layers(other)[0]
    assert len(store.content.all()) == 5
    root = Path(store.layers(sample)[0])
    assert (root / "etc/old").read_bytes() == b"old"
    with pytest.raises(ImageError, match="not in the store"):
        store.add_image(b'{"rootfs":{"type":"layers","diff_ids":["sha256:' + b"0" * 64 + b'"]}}', None, [])


def test_a_layer_that_comes_twice_counts_where_it_is_highest(store: ImageStore) -> None:
    with store.lease():
        a = store.add_layer(io.BytesIO(tar_of(entry("a", b"1"))))
        b = store.add_layer(io.BytesIO(tar_of(entry("b", b"1"))))
        ids = [a.diff_id, b.diff_id, a.diff_id]
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": ids}}
        image = store.add_image(json.dumps(config).encode(), ids, [])
    assert store.layers(image.id) == (store.layer_directory(b.diff_id), store.layer_directory(a.diff_id))


def test_removing_as_docker_does(store: ImageStore, sample: str) -> None:
    store.tag("sample:1", "second:2")
    assert store.remove("second:2").untagged == ("second:2",)
    assert store.find(sample) is not None
    store.tag("sample:1", "second:2")
    with pytest.raises(InUse, match="several names: sample:1, second:2"):
        store.remove(sample[7:19])
    directory = container(store, sample, "p-web-1")
    store.remove("second:2")
    with pytest.raises(InUse, match="used by the container p-web-1"):
        store.remove("sample:1")
    subprocess.run(["rm", "-r", directory], check=True)
    removed = store.remove("sample:1")
    assert (removed.untagged, removed.deleted) == (("sample:1",), (sample,))
    assert removed.reclaimed > 200_000
    assert store.list() == ()
    assert store.content.all() == ()


def test_force_untags_what_a_container_uses_and_keeps_its_layers(store: ImageStore, sample: str) -> None:
    container(store, sample, "p-web-1")
    store.remove("sample:1", force=True)
    store.gc()
    assert [Path(layer).is_dir() for layer in store.layers(sample)] == [True] * 3


def test_prune_takes_what_nothing_uses(store: ImageStore, sample: str) -> None:
    used = make_image(store, "used:1", seed=1)
    dangling = make_image(store, "moving:1", seed=2)
    make_image(store, "moving:1", seed=3)
    container(store, used, "p-web-1")
    assert store.prune().deleted == (dangling,)
    assert store.prune().deleted == ()
    pruned = store.prune(all_unused=True)
    assert set(pruned.deleted) >= {sample}
    assert [i.id for i in store.list()] == [used]
    assert len(store.content.all()) == 3


def test_prune_filters(store: ImageStore, sample: str) -> None:
    assert store.prune(all_unused=True, until=1).deleted == ()
    assert store.prune(all_unused=True, labels=["stage=build"]).deleted == ()
    assert store.prune(all_unused=True, labels=["!stage"]).deleted == (sample,)


def test_what_the_build_cache_pins_is_kept(store: ImageStore) -> None:
    layer = store.add_layer(io.BytesIO(tar_of(entry("cached", b"x"))))
    store._lease.close()
    os.makedirs(f"{store.root}/cache/pins")
    write_atomic(f"{store.root}/cache/pins/step", f"{layer.diff_id}\n")
    store.gc()
    assert store.has_layer(layer.diff_id)
    os.unlink(f"{store.root}/cache/pins/step")
    assert store.gc() > 0
    assert not store.has_layer(layer.diff_id)


def test_a_lease_keeps_what_nobody_names_yet(store: ImageStore, new_store: Stores) -> None:
    collector = ImageStore(store.paths)
    with store.lease():
        layer = store.add_layer(io.BytesIO(tar_of(entry("new", b"x"))))
        collector.gc()
        assert store.has_layer(layer.diff_id)
    store._lease.close()
    collector.gc()
    assert not store.has_layer(layer.diff_id)


def test_df_adds_up_to_what_the_disk_says(store: ImageStore, sample: str) -> None:
    make_image(store, "big:1", seed=4, size=3_000_000)
    make_image(store, "big:1", seed=5, size=1_000_000)
    usage = store.df()
    assert usage.total == du(store.root)
    assert usage.total == sum(layer.size for layer in usage.layers) + usage.cache + usage.other
    assert usage.images == 3
    before = du(store.root)
    freed = store.prune(all_unused=True).reclaimed
    assert freed == usage.reclaimable
    assert 0 <= before - du(store.root) - freed < 64 << 10, "what prune says is freed is freed (small files of the catalog aside)"


@pytest.mark.parametrize(
    ("harm", "kind", "told"),
    [
        (lambda store, layer: (layer / "data").write_bytes(b"x"), "layer", "shorter"),
        (lambda store, layer: (layer / "data").open("r+b").write(b"changed"), "layer", "changed on disk"),
        (lambda store, layer: (layer / "data").unlink(), "layer", "No such file"),
        (lambda store, layer: (layer / "data").chmod(0o777), "layer", "has mode 777 instead of 644"),
        (lambda store, layer: os.chown(layer / "data", 5, 5), "layer", "belongs to 5:5 instead of 0:0"),
        (lambda store, layer: (layer / "stranger").write_bytes(b"x"), "layer", "stranger: is not part of the layer"),
        (lambda store, layer: subprocess.run(["rm", "-r", layer.parent], check=True), "image", "is missing"),
        (lambda store, layer: Path(store.root, "configs", store.list()[0].id[7:]).write_bytes(b"{}"), "image", "does not match its digest"),
        (lambda store, layer: Path(store.root, "configs", store.list()[0].id[7:]).unlink(), "reference", "which is not there"),
    ],
)
def test_verify_finds_every_kind_of_damage(
    store: ImageStore, sample: str, harm: Callable[[ImageStore, Path], object], kind: str, told: str
) -> None:
    assert store.verify() == ()
    harm(store, Path(store.layers(sample)[1]))
    found = store.verify()
    assert [d for d in found if d.kind == kind and re.search(told, d.problem)], found


def test_a_directory_becomes_the_layer_that_its_tar_becomes(store: ImageStore, scratch: Path) -> None:
    source = scratch / "upper"
    (source / "sub").mkdir(parents=True)
    (source / "sub/file").write_bytes(b"x" * 5000)
    os.link(source / "sub/file", source / "again")
    os.symlink("sub/file", source / "link")
    os.mknod(source / "gone", 0o020000, 0)
    os.setxattr(source / "sub", "trusted.overlay.opaque", b"y")
    os.setxattr(source / "sub/file", "user.x", b"1")
    os.chmod(source / "sub/file", 0o4711)
    copied = store.add_layer(str(source))
    tar = b"".join(store.layer_tar(copied.diff_id))
    assert source.exists()
    moved = store.add_layer(str(source), move=True)
    assert moved.diff_id == copied.diff_id
    assert not source.exists()
    again = ImageStore(store.paths)
    assert again.add_layer(io.BytesIO(tar)).diff_id == copied.diff_id
    root = Path(store.layer_directory(copied.diff_id))
    assert os.getxattr(root / "sub", "trusted.overlay.opaque") == b"y"
    assert os.lstat(root / "gone").st_rdev == 0
    assert os.stat(root / "again").st_nlink == 2
    assert store.verify() == ()


def test_half_files_of_redirecting_overlays_are_refused(store: ImageStore, scratch: Path) -> None:
    (scratch / "upper/d").mkdir(parents=True)
    os.setxattr(scratch / "upper/d", "trusted.overlay.redirect", b"/elsewhere")
    with pytest.raises(ImageError, match="redirect_dir"):
        store.add_layer(str(scratch / "upper"), move=True)
    assert (scratch / "upper").exists()


WORKER = """
import io, sys
sys.path[:0] = [{project!r}, {project!r} + "/tests/kernel/images"]
from runtime.images import ImageStore
from runtime.store import Paths
store = ImageStore(Paths({root!r}, {run!r}))
{body}
"""


def worker(store: ImageStore, body: str) -> subprocess.Popen[bytes]:
    text = WORKER.format(project=str(PROJECT), root=store.paths.root, run=store.paths.run, body=body)
    return subprocess.Popen([sys.executable, "-c", text], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_many_processes_at_once(store: ImageStore, new_store: Stores, scratch: Path) -> None:
    source = new_store()
    for seed in range(3):
        make_image(source, f"image:{seed}", seed=seed)
        with (scratch / f"{seed}.tar").open("wb") as file:
            source.save([f"image:{seed}"], file)
    body = "for n in range(4):\n    for i in range(3):\n"
    body += f"        store.load(open('{scratch}/%d.tar' % i, 'rb'))\n        store.tag('image:%d' % i, 'mine:%d' % i)"
    body += "\n    store.gc()\n    store.prune()\n    store.untag('mine:0')"
    workers = [worker(store, body) for _ in range(4)]
    for process in workers:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    assert {r for i in store.list() for r in i.references} == {"image:0", "image:1", "image:2", "mine:1", "mine:2"}
    assert store.verify() == ()
    store.gc()
    assert os.listdir(f"{store.root}/tmp") == []


def test_killed_at_any_moment(store: ImageStore, new_store: Stores, scratch: Path) -> None:
    """SIGKILL a loading process again and again, at other moments: nothing half-written is used, nothing leaks, the next load succeeds."""
    source = new_store()
    make_image(source, "image:1", size=8_000_000)
    with (scratch / "x.tar").open("wb") as file:
        source.save(["image:1"], file)
    for attempt in range(12):
        process = worker(store, f"print('ready', flush=True); store.load(open('{scratch}/x.tar', 'rb'))")
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.008 * attempt)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert store.verify() == ()
        assert len(store.list()) in (0, 1)
    store.load((scratch / "x.tar").open("rb"))
    store.gc()
    assert os.listdir(f"{store.root}/tmp") == []
    assert len(store.content.all()) == 3
    assert store.df().total == du(store.root)


def test_what_a_power_cut_hurt_is_not_used(store: ImageStore, sample: str) -> None:
    """A layer that was not yet durable when the machine died is compared before it is trusted."""
    diff_ids = store.config(sample).diff_ids
    for diff_id in diff_ids:
        home = Path(store.content.home(diff_id))
        (home / "durable").unlink()
        layer = codec.loads(Layer, (home / "layer.json").read_text())
        write_atomic(str(home / "layer.json"), (home / "layer.json").read_text().replace(layer.boot_id, "another-boot"))
    data = Path(store.layer_directory(diff_ids[1])) / "data"
    os.truncate(data, 0)
    after = ImageStore(store.paths)
    assert after.has_layer(diff_ids[0])
    assert Path(after.content.home(diff_ids[0]), "durable").exists(), "what proved whole is trusted from now on"
    assert not after.has_layer(diff_ids[1])
    assert Damage(kind="layer", name=diff_ids[1], problem="half-written by a power cut") in after.verify()
    make_image(after, "sample:1")
    assert after.verify() == (), "adding it again heals it"
    assert data.stat().st_size == 200_000


def test_images_are_durable_before_they_have_a_name(store: ImageStore, sample: str) -> None:
    assert all(Path(store.content.home(d), "durable").exists() for d in store.config(sample).diff_ids)


def test_commit_of_a_container(store: ImageStore, sample: str) -> None:
    from runtime.images.committing import commit_container

    directory = container(store, sample, "p-web-1")
    Path(directory, "upper", "added").write_bytes(b"new")
    os.mknod(f"{directory}/upper/data", 0o020000, 0)
    state = commit_container(store, directory, "committed:1", changes=["EXPOSE 80"], author="me", message="why")
    assert state.config.environment == ("A=1", "B=2")
    assert state.config.command == ("run",)
    assert state.config.exposed_ports == ("80/tcp",)
    assert store.layers(state.id)[:3] == store.layers(sample)
    top = Path(store.layers(state.id)[3])
    assert (top / "added").read_bytes() == b"new"
    assert os.lstat(top / "data").st_rdev == 0
    assert Path(directory, "upper", "added").exists()


def test_import_and_export(store: ImageStore, new_store: Stores, sample: str) -> None:
    from runtime.images.flatten import export

    flat = b"".join(export(store, "sample:1"))
    other = new_store()
    state = other.import_root(io.BytesIO(flat), "flat:1", ['CMD ["/bin/su"]', "ENV X=1"], "imported")
    assert (state.config.command, state.config.environment) == (("/bin/su",), ("X=1",))
    (root,) = (Path(p) for p in other.layers(state.id))
    assert sorted(r[0] for r in listing(root)) == ["bin", "bin/su", "data", "etc", "etc/new0"]
    assert os.stat(root / "bin/su").st_mode & 0o7777 == 0o4755
