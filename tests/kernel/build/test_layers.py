"""COPY, ADD, WORKDIR, stages and the cache: layers written by root on a real file system."""

from __future__ import annotations

import io
import os
import stat
import tarfile
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import anyio
import pytest

from runtime.build.builder import Builder
from runtime.build.building import build
from runtime.build.memo import recall
from runtime.build.request import BuildRequest
from runtime.errors import BuildError, Unsupported
from runtime.state import ImageState
from tests.kernel.build.conftest import Site

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]


def mode(site: Site, image: ImageState, path: str) -> tuple[int, int, int]:
    node = site.view(image).locate(path, follow=False).node
    assert node is not None, path
    return stat.S_IMODE(node.stat.st_mode), node.stat.st_uid, node.stat.st_gid


def test_copies_are_root_s_and_keep_modes_and_links_but_no_attributes(site: Site) -> None:
    site.write(d__f="f", d__s__g="g", one="1")
    os.chmod(site.context / "d/s", 0o2770)
    os.chown(site.context / "d/f", 33, 44)
    os.setxattr(site.context / "d/f", "user.note", b"kept")
    os.link(site.context / "d/f", site.context / "d/hard")
    os.symlink("f", site.context / "d/link")
    os.mkfifo(site.context / "d/fifo")
    image = site.build("FROM scratch\nCOPY d /all\nCOPY one /new/dir/\nCOPY one /named\n")
    view = site.view(image)
    found = view.locate("/all/f").node
    assert found is not None and (found.stat.st_uid, found.stat.st_nlink) == (0, 2)
    assert not os.listxattr(found.path)
    assert mode(site, image, "/all/s") == (0o2770, 0, 0) and mode(site, image, "/all") == (0o755, 0, 0)
    assert os.readlink(view.locate("/all/link", follow=False).node.path) == "f"  # type: ignore[union-attr]
    assert view.locate("/all/fifo").node is not None
    assert site.text(image, "/new/dir/one") == "1" == site.text(image, "/named")


def test_targets_go_through_the_image_s_links_but_not_out(site: Site) -> None:
    site.write(f="x")
    image = site.build("FROM busybox\nRUN mkdir /real && ln -s /real /link && ln -s ../../../../real /up\nCOPY f /link/\nCOPY f /up/g\n")
    assert site.text(image, "/real/f") == "x" == site.text(image, "/real/g")
    assert os.path.islink(site.view(image).locate("/link", follow=False).node.path)  # type: ignore[union-attr]


def test_owners_and_modes_of_copies(site: Site) -> None:
    site.write(d__s__f="", x="")
    image = site.build("FROM busybox\nCOPY --chown=bob --chmod=u=rwX,go= d /a\nCOPY --chown=7:8 --chmod=640 x /b/c/\n")
    assert mode(site, image, "/a/s/f") == (0o600, 1000, 1000) and mode(site, image, "/a/s") == (0o700, 1000, 1000)
    assert mode(site, image, "/b/c/x") == (0o640, 7, 8) and mode(site, image, "/b") == (0o640, 7, 8)


def test_parents_and_exclusions(site: Site) -> None:
    site.write(**{"a__b__c.txt": "c", "a__d.txt": "d", "a__e.md": "e"})
    os.chmod(site.context / "a/b", 0o711)
    image = site.build(
        "FROM scratch\nCOPY --parents a/b/c.txt a/./d.txt /p/\nCOPY --parents **/*.txt /all/\nCOPY --exclude=*.md --exclude=b/c.txt a /x/\n"
    )
    assert site.text(image, "/p/a/b/c.txt") == "c" and site.text(image, "/p/d.txt") == "d" and mode(site, image, "/p/a/b")[0] == 0o711
    view = site.view(image)
    assert site.text(image, "/all/a/b/c.txt") == "c" and view.locate("/all/a/e.md").node is None
    assert view.locate("/x/d.txt").node and not view.locate("/x/e.md").node and not view.locate("/x/b/c.txt").node


@pytest.mark.parametrize(
    ("instruction", "message"),
    [
        ("COPY missing /x", '"/missing": not found'),
        ("COPY ../f /x", None),
        ("COPY ../../../../../etc/hostname /x", '"/etc/hostname": not found'),
        ("COPY f d /x", "is not a directory"),
        ("COPY f /d", None),
        ("COPY d /f", "not a directory|non-directory"),
        ("COPY --chmod=9 f /x", "invalid chmod"),
        ("COPY dangling /x", "not found"),
        ("COPY .wh.x /x/", "mean removal"),
        ("COPY --from=nothing-here:1 f /x", "nothing-here"),
        ("ADD --checksum=sha256:" + "0" * 64 + " f /x", "--checksum is for URLs"),
    ],
)
def test_what_cannot_be_copied_is_told(site: Site, instruction: str, message: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.images.pull.pull", _refuse)
    site.write(**{"f": "x", "d__g": "", ".wh.x": ""})
    os.symlink("/nowhere", site.context / "dangling")
    text = f"FROM busybox\nRUN mkdir /d && touch /f\n{instruction}\n"
    if message is None:
        site.build(text)
        return
    with pytest.raises(BuildError, match=message) as caught:
        site.build(text)
    assert f">>> {instruction}" in caught.value.message


def _refuse(store: object, reference: str, **_options: object) -> None:
    from runtime.errors import RegistryError

    raise RegistryError(f"{reference} is nowhere")


def test_links_of_a_context_cannot_lead_out(site: Site) -> None:
    os.symlink("/etc", site.context / "etc")
    os.symlink("../../../../../../etc/passwd", site.context / "passwd")
    for source in ("etc/passwd", "passwd"):
        with pytest.raises(BuildError, match=r"not found|Too many levels of symbolic links"):
            site.build(f"FROM scratch\nCOPY {source} /x\n")


def test_archives_are_unpacked_by_add_only(site: Site) -> None:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, uid in (("dir/one", 33), ("two", 0)):
            entry = tarfile.TarInfo(name)
            entry.size, entry.uid, entry.mode, entry.mtime = 1, uid, 0o640, 1000
            tar.addfile(entry, io.BytesIO(b"x"))
        link = tarfile.TarInfo("hard")
        link.type, link.linkname = tarfile.LNKTYPE, "two"
        tar.addfile(link)
    (site.context / "a.tgz").write_bytes(content.getvalue())
    image = site.build("FROM busybox\nADD a.tgz /t\nCOPY a.tgz /c/\nADD --chown=bob a.tgz /o/\n")
    assert mode(site, image, "/t/dir/one") == (0o640, 33, 0) and mode(site, image, "/o/dir/one")[1:] == (1000, 1000)
    node = site.view(image).locate("/t/hard").node
    assert node is not None and node.stat.st_nlink == 2 and node.stat.st_mtime == 1000
    assert site.view(image).locate("/c/a.tgz").node is not None


@pytest.mark.parametrize("name", ["../escape", "a/../../escape"])
def test_archives_cannot_climb_out(site: Site, name: str) -> None:
    with tarfile.open(site.context / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO(b""))
    with pytest.raises(BuildError, match="climbs out"):
        site.build("FROM scratch\nADD a.tar /d/\n")
    assert not Path(f"{site.store.root}/tmp/escape").exists()


def test_an_archive_s_links_stay_inside_the_image(site: Site) -> None:
    with tarfile.open(site.context / "a.tar", "w") as tar:
        link = tarfile.TarInfo("out")
        link.type, link.linkname = tarfile.SYMTYPE, "/var/tmp"
        tar.addfile(link)
        entry = tarfile.TarInfo("out/owned-by-the-archive")
        tar.addfile(entry, io.BytesIO(b""))
    image = site.build("FROM scratch\nADD a.tar /\n")
    assert site.view(image).locate("/var/tmp/owned-by-the-archive").node is not None
    assert not os.path.exists("/var/tmp/owned-by-the-archive")


@pytest.fixture
def server(tmp_path: Path):  # type: ignore[no-untyped-def]
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path))
    handler.log_message = lambda *a: None  # type: ignore[attr-defined]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        yield tmp_path, f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()


def test_urls_are_downloaded_and_checked(site: Site, server: tuple[Path, str]) -> None:
    import hashlib

    files, address = server
    (files / "file.txt").write_text("from afar")
    digest = hashlib.sha256(b"from afar").hexdigest()
    image = site.build(f"FROM scratch\nADD {address}/file.txt /d/\nADD --checksum=sha256:{digest} --chmod=644 {address}/file.txt /e\n")
    assert (
        site.text(image, "/d/file.txt") == "from afar"
        and mode(site, image, "/d/file.txt")[0] == 0o600
        and mode(site, image, "/e")[0] == 0o644
    )
    with pytest.raises(BuildError, match="digest mismatch"):
        site.build(f"FROM scratch\nADD --checksum=sha256:{'0' * 64} {address}/file.txt /e\n")
    with pytest.raises(BuildError, match="status 404"):
        site.build(f"FROM scratch\nADD {address}/none /e\n")


def test_repositories_are_contexts_and_sources(site: Site, server: tuple[Path, str]) -> None:
    import subprocess

    files, address = server
    repository = files / "r.git"

    def git(*arguments: str) -> None:
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e@x", *arguments], cwd=files / "w", check=True, capture_output=True)

    (files / "w/sub").mkdir(parents=True)
    (files / "w/sub/Dockerfile").write_text("FROM scratch\nCOPY f /f\n")
    (files / "w/sub/f").write_text("branch content")
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "one")
    git("branch", "side")
    git("clone", "-q", "--bare", ".", str(repository))
    subprocess.run(["git", "update-server-info"], cwd=repository, check=True)
    image = site.build(None, context=f"{address}/r.git#side:sub")
    assert site.text(image, "/f") == "branch content"
    image = site.build(f"FROM scratch\nADD {address}/r.git#main /src\n")
    assert site.text(image, "/src/sub/f") == "branch content" and site.view(image).locate("/src/.git").node is None
    with pytest.raises(BuildError, match="no ref"):
        site.build(f"FROM scratch\nADD {address}/r.git#nope /src\n")


def test_archives_are_contexts(site: Site, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "context.tar.gz", "w:gz") as tar:
        for name, text in (("Dockerfile", b"FROM scratch\nCOPY f /f\n"), ("f", b"packed")):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    assert site.text(site.build(None, context=str(tmp_path / "context.tar.gz")), "/f") == "packed"


def test_the_cache_goes_by_content(site: Site) -> None:
    site.write(a="1", b="2")
    text = "FROM busybox\nCOPY a /a\nRUN cat /a > /made\nLABEL x=y\n"
    first = site.build(text)
    os.utime(site.context / "a", (1, 1))
    site.write(b="changed")
    again = site.build(text)
    assert first.id == again.id and set(site.steps().values()) == {"CACHED"}
    site.write(a="other")
    changed = site.build(text)
    assert site.text(changed, "/made") == "other" and "DONE" in site.steps().values()
    site.write(a="1")
    assert site.build(text).id == first.id


def test_another_clone_of_the_context_hits_the_cache(site: Site, tmp_path: Path) -> None:
    site.write(a="1")
    text = "FROM busybox\nCOPY . /c\nRUN true > /x\n"
    site.build(text)
    (tmp_path / "a").write_text("1")
    site.build(text, context=str(tmp_path))
    assert set(site.steps().values()) == {"CACHED"}


def test_arguments_and_labels_matter_where_they_are_used(site: Site) -> None:
    text = "FROM busybox\nRUN echo 1 > /1\nARG V\nLABEL v=$V\nRUN echo 2 > /2\n"
    site.build(text, arguments={"V": "a"})
    site.build(text, arguments={"V": "b"})
    assert list(site.steps().values()) == ["CACHED", "CACHED", "DONE"]
    site.build(text, arguments={"V": "b", "http_proxy": "http://proxy"})
    assert set(site.steps().values()) == {"CACHED"}


def test_no_cache_filter_names_stages(site: Site) -> None:
    text = "FROM busybox AS a\nRUN echo 1 > /1\nFROM busybox AS b\nRUN echo 2 > /2\nCOPY --from=a /1 /\n"
    site.build(text)
    site.build(text, no_cache_filter=("b",))
    steps = site.steps()
    assert steps["[a 2/2] RUN echo 1 > /1"] == "CACHED" and steps["[b 2/3] RUN echo 2 > /2"] == "DONE"


def test_builds_of_one_command_share_what_is_the_same(site: Site) -> None:
    texts = [f"FROM busybox\nRUN date +%N > /when; sleep 0.5\nRUN echo {n} > /n\n" for n in range(3)]
    builder = Builder(site.store)
    images: dict[int, ImageState] = {}

    async def one(number: int) -> None:
        images[number] = await build(
            site.store, BuildRequest(context="", dockerfile_text=texts[number], no_cache=True), lambda e: None, builder
        )

    async def everything() -> None:
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(one, number)

    anyio.run(everything)
    assert len({site.text(image, "/when") for image in images.values()}) == 1
    assert {site.text(image, "/n") for image in images.values()} == {"0\n", "1\n", "2\n"}


def test_an_unchanged_build_is_answered_from_its_memo(site: Site) -> None:
    site.write(a="1", skip="")
    (site.context / "Dockerfile").write_text("FROM busybox\nCOPY a* /d/\nRUN --mount=type=bind,target=/s cat /s/a > /x\n")
    (site.context / ".dockerignore").write_text("skip\n")
    image = site.build()
    request = BuildRequest(context=str(site.context), references=("built:latest",))
    assert recall(site.store, request, site.events.append) is not None
    assert recall(site.store, BuildRequest(context=str(site.context), references=("other",)), site.events.append) is None
    for change, undo in ((lambda: site.write(a="2"), lambda: site.write(a="1")), (lambda: site.write(ab=""), lambda: (site.context / "ab").unlink()),
                         (lambda: site.write(**{".dockerignore": "a\n"}), lambda: site.write(**{".dockerignore": "skip\n"}))):  # fmt: skip
        change()
        assert recall(site.store, request, site.events.append) is None
        undo()
    assert recall(site.store, request, site.events.append) == image
    site.store.tag("built:latest", "busybox:latest")
    assert recall(site.store, request, site.events.append) is None


def test_onbuild_triggers_run_in_the_next_build(site: Site) -> None:
    site.write(f="triggered")
    site.build("FROM busybox\nONBUILD ARG V=1\nONBUILD COPY f /app/\nONBUILD RUN echo $V > /v\n", references=("base:1",))
    image = site.build("FROM base:1\nRUN cat /v > /w\n", arguments={"V": "2"})
    assert site.text(image, "/app/f") == "triggered" and site.text(image, "/w") == "2\n"
    assert "OnBuild" not in site.config(image)["config"]


def test_further_contexts(site: Site, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("from another context")
    site.build("FROM busybox\nRUN echo base > /b\n", references=("mybase:1",))
    image = site.build(
        "FROM base\nCOPY --from=more x /x\nCOPY --from=img /b /c\n",
        contexts={"more": str(tmp_path), "base": "docker-image://mybase:1", "img": "docker-image://mybase:1"},
    )
    assert (site.text(image, "/x"), site.text(image, "/b"), site.text(image, "/c")) == ("from another context", "base\n", "base\n")


def test_working_directories_are_made_once_and_belong_to_the_user(site: Site) -> None:
    image = site.build("FROM busybox\nWORKDIR /tmp\nUSER bob\nWORKDIR a/b\n")
    assert mode(site, image, "/tmp") == (0o1777, 0, 0) and mode(site, image, "/tmp/a/b") == (0o755, 1000, 1000)
    assert len(site.store.layers(image.id)) == 3  # the first WORKDIR changed nothing: an empty layer, as Docker makes one
    assert site.config(image)["config"]["WorkingDir"] == "/tmp/a/b"


def test_targets_platforms_and_bases_that_cannot_be(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.images.pull.pull", _refuse)
    with pytest.raises(BuildError, match="target stage"):
        site.build("FROM busybox AS build\n", target="bild")
    with pytest.raises(Unsupported, match="cannot build for platform linux/s390x"):
        site.build("FROM busybox\n", platforms=("linux/s390x",))
    with pytest.raises(BuildError, match="linux/s390x"):
        site.build("FROM --platform=linux/s390x busybox\n")
    with pytest.raises(BuildError) as caught:
        site.build("FROM debian:bookworm-slim\n")
    assert "bootstrap" in (caught.value.hint or "") and ">>> FROM debian" in caught.value.message
    with pytest.raises(BuildError, match="is empty"):
        site.build("ARG NOTHING\nFROM $NOTHING\n")


def test_a_missing_dockerfile_is_told(site: Site) -> None:
    site.write(Dockerfille="FROM scratch\n")
    with pytest.raises(BuildError, match="failed to read dockerfile") as caught:
        site.build()
    assert caught.value.hint == "did you mean Dockerfille?"
    with pytest.raises(BuildError, match="not found"):
        site.build(None, context=f"{site.context}/nope")


def test_garbage_collection_keeps_what_the_cache_needs(site: Site) -> None:
    site.build("FROM busybox\nRUN echo x > /x\n", references=("gone:1",))
    site.store.remove("gone:1")
    site.store.gc()
    site.build("FROM busybox\nRUN echo x > /x\n", references=("back:1",))
    assert site.steps()["[2/2] RUN echo x > /x"] == "CACHED"
    site.store.remove("back:1")
    assert Builder(site.store).cache.prune() > 0
    site.store.gc()
    assert len(site.store.content.all()) == 1


def test_the_cache_travels(site: Site, tmp_path: Path) -> None:
    site.write(a="1")
    text = "FROM busybox AS tools\nRUN echo tool > /tool\nFROM busybox\nCOPY a /a\nCOPY --from=tools /tool /\nRUN true\n"
    site.build(text, cache_to=(f"type=local,dest={tmp_path}/cache",))
    (tmp_path / "elsewhere").mkdir()
    other = Site(tmp_path / "elsewhere")
    other.write(a="1")
    image = other.build(text, cache_from=(f"type=local,src={tmp_path}/cache",))
    assert set(other.steps().values()) == {"CACHED"}
    assert other.text(image, "/tool") == "tool\n"
    assert {s.references for s in other.store.list()} == {("built:latest",), ("busybox:latest",)}
    other.build(text, cache_from=("type=local,src=/nowhere",))
    with pytest.raises(BuildError, match="not supported"):
        site.build(text, cache_to=("type=gha",))


def test_keys_travel_inside_an_image(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.images.pull.pull", _refuse)
    text = "FROM busybox\nRUN echo x > /x\n"
    site.build(text, references=("app:1",), cache_to=("type=inline",))
    with open(tmp_path / "app.tar", "wb") as file:
        site.store.save(["app:1"], file)
    (tmp_path / "elsewhere").mkdir()
    other = Site(tmp_path / "elsewhere")
    with open(tmp_path / "app.tar", "rb") as file:
        other.store.load(file)
    other.build(text, cache_from=("app:1",))
    assert other.steps()["[2/2] RUN echo x > /x"] == "CACHED"


def test_oci_layouts_are_contexts(site: Site, tmp_path: Path) -> None:
    import tarfile as tar_files

    site.build("FROM busybox\nRUN echo base > /b\n", references=("mybase:1",))
    with open(tmp_path / "layout.tar", "wb") as file:
        site.store.save(["mybase:1"], file, format="oci")
    (tmp_path / "layout").mkdir()
    with tar_files.open(tmp_path / "layout.tar") as tar:
        tar.extractall(tmp_path / "layout")
    site.store.remove("mybase:1")
    layout = f"oci-layout://{tmp_path}/layout"
    image = site.build("FROM base\nCOPY --from=base /b /c\n", contexts={"base": layout})
    assert site.text(image, "/c") == "base\n"
