"""BuildKit's checks: what works, but should be written otherwise."""

from __future__ import annotations

import pytest

from runtime.build.checks import base_images, check
from runtime.build.request import BuildRequest


def found(text: str) -> list[tuple[str, int]]:
    return [(w.rule, w.line) for w in check(BuildRequest(context="", dockerfile_text=text))]


@pytest.mark.parametrize(
    ("text", "rule", "line"),
    [
        ("FROM a\nMAINTAINER x", "MaintainerDeprecated", 2),
        ("FROM a\nCMD run it", "JSONArgsRecommended", 2),
        ("FROM a\nENV key value", "LegacyKeyValueFormat", 2),
        ("FROM a as b", "FromAsCasing", 1),
        ("FROM a AS Upper", "StageNameCasing", 1),
        ("FROM a AS scratch", "ReservedStageName", 1),
        ("FROM a\nrun x\nENV A=b\nENV C=d", "ConsistentInstructionCasing", 2),
        ("FROM a\nWORKDIR rel", "WorkdirRelativePath", 2),
        ('FROM a\nCMD ["a"]\nCMD ["b"]', "MultipleInstructionsDisallowed", 2),
        ("FROM a\nARG DB_PASSWORD", "SecretsUsedInArgOrEnv", 2),
        ("FROM --platform=$TARGETPLATFORM a", "RedundantTargetPlatform", 1),
        ("FROM a\nRUN x \\\n\n  y", "NoEmptyContinuation", 4),
    ],
)
def test_each_rule(text: str, rule: str, line: int) -> None:
    assert (rule, line) in found(text)


def test_a_clean_file_has_none() -> None:
    assert found('FROM a AS b\nWORKDIR /x\nWORKDIR y\nENV A=1 PUBLIC_KEY=x\nCMD ["x"]\nHEALTHCHECK NONE\n') == []


def test_rules_can_be_skipped() -> None:
    assert found("# check=skip=JSONArgsRecommended\nFROM a\nCMD x\nMAINTAINER y") == [("MaintainerDeprecated", 4)]
    assert found("# check=skip=all\nFROM a\nCMD x") == []


def test_base_images_are_neither_stages_nor_contexts() -> None:
    text = "ARG T=1\nFROM one:$T AS x\nFROM x\nFROM ctx\nFROM two\n"
    assert base_images(BuildRequest(context="", dockerfile_text=text, contexts={"ctx": "/d"})) == {"one:1", "two"}
    assert base_images(BuildRequest(context="", dockerfile_text="nonsense")) == set()
