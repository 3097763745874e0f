"""Instructions that change the configuration: variables, their operators and scopes, and the JSON that comes of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.build import draft as drafts
from runtime.build import metadata, platform, reader
from runtime.build.metadata import Scope
from runtime.build.state import StageState
from runtime.build.syntax import expander, parse


def start() -> StageState:
    draft = drafts.empty(platform.native())
    return StageState(layers=(), key="", draft=draft, variables=draft.environment)


def after(text: str, given: Mapping[str, str] | None = None, global_: Mapping[str, str] | None = None) -> StageState:
    state = start()
    scope = Scope(given=given or {}, globals_=global_ or {})
    for instruction in reader.read(parse(f"FROM scratch\n{text}")).stages[0].instructions:
        state = metadata.apply(state, instruction, scope)
    return state


def env(text: str, name: str, **arguments: str) -> str | None:
    return after(text, arguments).draft.environment.get(name)


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("$A", "1.2.3"), ("${A}x", "1.2.3x"), ("${N:-def}", "def"), ("${E:-def}", "def"), ("${E-def}", ""), ("${A:+set}", "set"), ("${N+set}", ""),
        ("${A#*.}", "2.3"), ("${A##*.}", "3"), ("${A%.*}", "1.2"), ("${A%%.*}", "1"), ("${A/./-}", "1-2.3"), ("${A//./-}", "1-2-3"),
        ("'$A'", "$A"), ('"$A b"', "1.2.3 b"), ("\\$A", "$A"), ("$N", ""), ("a${N:-${A}}", "a1.2.3"),
    ],
)  # fmt: skip
def test_operators(word: str, expected: str) -> None:
    assert env(f"ENV A=1.2.3 E=\nENV R={word}", "R") == expected


def test_required_variables_say_what_is_missing() -> None:
    with pytest.raises(ValueError, match="N: needed"):
        after("ENV R=${N:?needed}")


def test_one_instruction_sees_what_was_before_it() -> None:
    assert env("ENV A=1\nENV A=2 B=$A", "B") == "1"


def test_arguments_reach_expansion_but_not_the_image() -> None:
    state = after("ARG V=def\nENV R=$V\nARG W", {"W": "given"})
    assert state.draft.environment["R"] == "def"
    assert "V" not in state.draft.environment
    assert dict(state.arguments) == {"V": "def", "W": "given"}


def test_given_arguments_go_before_defaults_and_globals_fill_the_undefined() -> None:
    assert env("ARG V=def\nENV R=$V", "R", V="given") == "given"
    assert after("ARG V\nENV R=$V", {}, {"V": "global"}).draft.environment["R"] == "global"
    assert after("ARG V=own\nENV R=$V", {}, {"V": "global"}).draft.environment["R"] == "own"
    assert after("ENV R=$V", {"V": "given"}, {"V": "global"}).draft.environment["R"] == ""


def test_platform_arguments_have_to_be_declared() -> None:
    known = platform.arguments("final")
    assert after("ENV R=$TARGETARCH", {}, known).draft.environment["R"] == ""
    assert after("ARG TARGETARCH\nENV R=$TARGETARCH", {}, known).draft.environment["R"] == platform.native().architecture
    assert known["TARGETSTAGE"] == "final"


def test_the_configuration_is_docker_s() -> None:
    text = (
        'ENV A="two words"\nLABEL a=b "c d"=e\nEXPOSE 80 8000-8001/udp\nVOLUME ["/data"]\nUSER 1000:5\nCMD run $A\nSTOPSIGNAL SIGQUIT\n'
        'SHELL ["/bin/x", "-e"]\nENTRYPOINT ["e"]\nCMD c\nHEALTHCHECK --retries=3 CMD ["t"]\nONBUILD RUN x\nMAINTAINER me\n'
    )
    document = json.loads(after(text).draft.document(["sha256:" + "0" * 64]))
    assert document["config"] == {
        "User": "1000:5",
        "ExposedPorts": {"80/tcp": {}, "8000/udp": {}, "8001/udp": {}},
        "Env": [f"PATH={drafts.DEFAULT_PATH}", "A=two words"],
        "Entrypoint": ["e"],
        "Cmd": ["/bin/x", "-e", "c"],
        "Volumes": {"/data": {}},
        "WorkingDir": "/",
        "Labels": {"a": "b", "c d": "e"},
        "StopSignal": "SIGQUIT",
        "ArgsEscaped": True,
        "Healthcheck": {"Test": ["CMD", "t"], "Retries": 3},
        "OnBuild": ["RUN x"],
        "Shell": ["/bin/x", "-e"],
    }
    assert document["author"] == "me" and document["rootfs"]["diff_ids"] == ["sha256:" + "0" * 64]
    assert all(entry["empty_layer"] for entry in document["history"])


def test_entrypoint_drops_an_inherited_command_only() -> None:
    inherited = start().draft.with_(Cmd=["old"])
    state = StageState(layers=(), key="", draft=inherited, variables={})
    instructions = reader.read(parse('FROM a\nENTRYPOINT ["e"]')).stages[0].instructions
    assert metadata.apply(state, instructions[0], Scope()).draft.texts("Cmd") == ()
    assert after('CMD ["c"]\nENTRYPOINT ["e"]').draft.texts("Cmd") == ("c",)


@pytest.mark.parametrize("text", ["EXPOSE 0", "EXPOSE 70000", "EXPOSE 9-8", "EXPOSE x", "STOPSIGNAL SIGNOPE", "STOPSIGNAL 99", "VOLUME $N"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        after(text)


@pytest.mark.parametrize(
    ("old", "path", "expected"),
    [
        ("/", "a", "/a"),
        ("/a", "b/../c", "/a/c"),
        ("/a", "/b/", "/b/"),
        ("/a", "..", "/"),
        ("/a", "../../..", "/"),
        ("", "x", "/x"),
        ("/a/", "b", "/a/b"),
    ],
)
def test_working_directories(old: str, path: str, expected: str) -> None:
    state = StageState(layers=(), key="", draft=start().draft.with_(WorkingDir=old or None), variables={})
    assert metadata.working_dir(state, path) == expected


names = st.text("ABCxyz_", min_size=1, max_size=4)
values = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S", "Zs"]), max_size=12)


@given(st.dictionaries(names, values, max_size=4), values)
def test_single_quotes_protect_everything(variables: dict[str, str], text: str) -> None:
    text = text.replace("'", "")
    assert expander("\\", variables)(f"'{text}'") == text


@given(names, values, values)
def test_defaults_stand_in_exactly_for_unset_and_empty(name: str, value: str, other: str) -> None:
    plain = "".join(c for c in other if c.isalnum())
    assert expander("\\", {name: value})(f"${{{name}:-{plain}}}") == (value or plain)
    assert expander("\\", {name: value})(f"${{{name}-{plain}}}") == value
    assert expander("\\", {})(f"${{{name}-{plain}}}") == plain
    assert expander("\\", {name: value})(f"${{{name}:+{plain}}}") == (plain if value else "")
