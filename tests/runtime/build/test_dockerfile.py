"""Dockerfile text to instructions: what is understood, and how mistakes are told."""

from __future__ import annotations

import pytest

from runtime.build import flags, graph, reader
from runtime.build.instructions import Command, Copy, Dockerfile, Env, Healthcheck, OnBuild, Run, Shell
from runtime.build.syntax import directives, parse
from runtime.errors import BuildError


def read(text: str) -> Dockerfile:
    return reader.read(parse(text))


def only(text: str) -> object:
    return read(f"FROM a\n{text}").stages[0].instructions[0]


def failure(text: str) -> BuildError:
    with pytest.raises(BuildError) as caught:
        read(text)
    return caught.value


def test_stages_know_their_names_bases_and_instructions() -> None:
    found = read("ARG V=1\nFROM --platform=linux/amd64 a:$V AS Build\nRUN x\nFROM build\nCOPY --from=Build /a /b\n")
    assert [(s.name, s.base.image, s.base.platform) for s in found.stages] == [("build", "a:$V", "linux/amd64"), ("", "build", "")]
    assert found.stages[1].title == "stage-1"
    assert found.arguments[0].values == (("V", "1"),)


def test_forms_of_commands() -> None:
    assert only('CMD ["a", "b c"]') == Command(place=only('CMD ["a", "b c"]').place, entrypoint=False, arguments=("a", "b c"), shell=False)  # type: ignore[attr-defined]
    shell = only("ENTRYPOINT exec $X")
    assert isinstance(shell, Command) and shell.entrypoint and shell.shell and shell.arguments == ("exec $X",)
    assert isinstance(only('SHELL ["/bin/bash", "-c"]'), Shell)


def test_escape_directive_changes_continuations() -> None:
    source = parse("# escape=`\nFROM a\nRUN one `\n  two\n")
    assert source.escape == "`" and source.instructions[1].args == ("one   two",)
    assert directives(("# syntax=docker/dockerfile:1", "# check=skip=all", "FROM x")) == {
        "syntax": "docker/dockerfile:1",
        "check": "skip=all",
    }


def test_copy_flags_and_heredocs() -> None:
    copy = only('COPY --from=b --chown=1:2 --chmod=644 --link --parents --exclude=*.o --exclude=x a "b c" /d/')
    assert isinstance(copy, Copy)
    assert (copy.origin, copy.chown, copy.chmod, copy.link, copy.parents, copy.exclude) == ("b", "1:2", "644", True, True, ("*.o", "x"))
    assert copy.target == "/d/"
    inline = only('COPY <<A <<"B" f /x/\none\nA\ntwo $V\nB\n')
    assert isinstance(inline, Copy)
    assert inline.sources == ("f",)
    assert [(h.name, h.content, h.expand) for h in inline.heredocs] == [("A", "one\n", True), ("B", "two $V\n", False)]


def test_run_keeps_its_mounts_and_network() -> None:
    run = only("RUN --mount=type=cache,target=/c,id=$I --mount=type=secret,id=s,required --network=none make")
    assert isinstance(run, Run) and run.network == "none" and len(run.mounts) == 2
    mount = flags.mount(run.mounts[0], lambda word: word.replace("$I", "seven"))
    assert (mount.kind, mount.target, mount.id, mount.sharing) == ("cache", "/c", "seven", "shared")
    assert flags.mount(run.mounts[1]).required
    assert flags.mount("type=bind,from=x,source=/a,target=/b,rw").read_only is False
    assert flags.mount("type=cache,target=/b,mode=0700,uid=3,sharing=locked").mode == 0o700


def test_healthcheck_durations_are_go_s() -> None:
    check = only("HEALTHCHECK --interval=1m30s --timeout=500ms --start-period=2h --retries=4 CMD curl -f x")
    assert isinstance(check, Healthcheck)
    assert (check.test, check.interval, check.timeout, check.retries) == (("CMD-SHELL", "curl -f x"), 90_000_000_000, 500_000_000, 4)
    assert check.start_period == 7_200_000_000_000


def test_legacy_env_takes_the_rest_of_the_line() -> None:
    env = only("ENV name some words here")
    assert isinstance(env, Env) and env.values == (("name", "some words here"),)


def test_onbuild_keeps_the_trigger() -> None:
    trigger = only("ONBUILD COPY . /app")
    assert isinstance(trigger, OnBuild) and trigger.trigger == "COPY . /app"


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("FROM a\nRNU x", 2, "unknown instruction: RNU"),
        ("RUN x", 1, "no build stage in current context"),
        ("FROM a b", 1, "three: FROM image [AS name]"),
        ("FROM a AS 1x", 1, "invalid name for build stage"),
        ("FROM a\nCOPY x", 2, "at least two arguments"),
        ("FROM a\nCOPY --form=x a b", 2, "did you mean --from?"),
        ("FROM a\nRUN --mount=type=cach,target=/x y", 2, "unsupported mount type"),
        ("FROM a\nRUN --mount=type=cache,traget=/x y", 2, "did you mean 'target'?"),
        ("FROM a\nRUN []", 2, "needs a command"),
        ("FROM a\nRUN --network=bridge y", 2, "--network is default, none or host"),
        ("FROM a\nSHELL /bin/sh", 2, "arguments as JSON"),
        ("FROM a\nHEALTHCHECK --interval=5 CMD x", 2, "is not a duration"),
        ("FROM a\nHEALTHCHECK SOMETIMES", 2, "unknown type"),
        ("FROM a\nONBUILD FROM b", 2, "isn't allowed as an ONBUILD trigger"),
        ("FROM a\nADD --checksum=md5:1 http://x/y /z", 2, "--checksum is sha256"),
        ("FROM a\nRUN <<EOF\nx", 2, "unterminated heredoc"),
        ("FROM a\nCOPY --link=maybe a b", 2, "expected true or false"),
    ],
)
def test_mistakes_show_their_line(text: str, line: int, message: str) -> None:
    error = failure(text)
    assert f"Dockerfile:{line}:" in error.message
    assert message in error.message
    assert ">>>" in error.message


def test_unknown_instructions_get_the_nearest_spelling() -> None:
    assert failure("FROM a\nENTRYPIONT x").hint == "did you mean ENTRYPOINT?"


def test_an_empty_file_is_refused() -> None:
    assert "no instructions" in failure("# nothing\n").message


def test_only_needed_stages_are_dependencies() -> None:
    three = "FROM c AS three\nCOPY --from=one x y\nRUN --mount=type=bind,from=0,target=/t z\n"
    dockerfile = read(f"FROM a AS one\nFROM b AS two\n{three}FROM three\nCOPY --from=2 x y\n")
    assert graph.dependencies(dockerfile, dockerfile.stages[2]) == (0,)
    assert graph.dependencies(dockerfile, dockerfile.stages[3]) == (2,)
    assert graph.base_stage(dockerfile, "three", 3) is dockerfile.stages[2]
    assert graph.base_stage(dockerfile, "three", 2) is None
    assert graph.target_stage(dockerfile, "TWO").number == 1
    assert graph.target_stage(dockerfile, "").number == 3


def test_targets_and_stages_that_are_not_there() -> None:
    dockerfile = read("FROM a AS build\nFROM b AS final\n")
    with pytest.raises(BuildError) as caught:
        graph.target_stage(dockerfile, "bild")
    assert caught.value.hint == "did you mean build?"
    with pytest.raises(BuildError, match=r"not built yet"):
        graph.source_stage(dockerfile, "final", 0)
    with pytest.raises(BuildError, match="invalid from value"):
        graph.source_stage(dockerfile, "5", 1)
