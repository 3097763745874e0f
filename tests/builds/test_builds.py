"""Small Dockerfiles of every kind, built on the real kernel: files, configuration and history must be those that Docker Compose answered.

What it answered is recorded in ``expected/`` (see ``compare.py``); nothing of it is needed here.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.images.store import ImageStore
from runtime.store import Paths
from tests.builds.cases import BASE, BASE_CHANGES, HERE, Case, all_cases, base_tar, ended
from tests.builds.compare import without_base
from tests.builds.images import describe
from tests.e2e.conftest import CommandLine

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

CASES = all_cases()
EXPECTED: dict[str, dict[str, Any]] = {path.stem: json.loads(path.read_text()) for path in (HERE / "expected").glob("*.json")}
BUILT = [c for c in CASES if "layers" in EXPECTED[c.subject][c.name]]
REFUSED = [c for c in CASES if "exit_code" in EXPECTED[c.subject][c.name]]
_AT_ONCE = 12


class Workshop:
    """A store of its own with the base image, and the cases' directories."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.command = CommandLine(home / "root", home / "run")
        self.store = ImageStore(Paths(f"{home}/root", f"{home}/run"))
        (home / "base.tar").write_bytes(base_tar())
        changes = [word for change in BASE_CHANGES for word in ("-c", change)]
        self.command(home, "image", "import", *changes, "base.tar", BASE)
        self.base = self.described(BASE)

    def build(self, cases: list[Case]) -> None:
        """Build cases in few commands: those that need a compose file of their own alone, the others some together."""
        alone = [c for c in cases if "compose" in c.sections or "additional_contexts" in c.sections.get("build", "")]
        together = [c for c in cases if c not in alone]
        for case in cases:
            case.lay_out(self.home / case.title)
        for case in alone:
            self.command(self.home / case.title, "-p", case.title, "build")
        services = "".join(case.service(case.title, f"./{case.title}") for case in together)
        (self.home / "compose.yaml").write_text(f"name: all\nservices:\n{services}")
        for first in range(0, len(together), _AT_ONCE):
            self.command(self.home, "build", *(case.title for case in together[first : first + _AT_ONCE]))

    def described(self, reference: str) -> dict[str, Any]:
        """What the image is."""
        with tempfile.TemporaryFile(dir=self.home) as file:
            self.store.save([reference], file)
            file.seek(0)
            return describe(file)


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    home = Path(tempfile.mkdtemp(prefix="pycompose-builds-", dir="/var/tmp"))
    try:
        yield Workshop(home)
        assert not [line for line in Path("/proc/self/mounts").read_text().splitlines() if str(home) in line]
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="module")
def built(workshop: Workshop) -> Workshop:
    """All that can be built is built."""
    workshop.build(BUILT)
    return workshop


def test_every_case_has_an_answer_and_none_is_left_over() -> None:
    assert {(c.subject, c.name) for c in CASES} == {(subject, name) for subject, answers in EXPECTED.items() for name in answers}
    assert len({c.title for c in CASES}) == len(CASES) > 150


@pytest.mark.parametrize("case", BUILT, ids=lambda c: c.title)
def test_the_image_is_docker_s(built: Workshop, case: Case) -> None:
    image = f"{case.title}-main" if built.store.find(f"{case.title}-main") else f"all-{case.title}"
    answer = without_base(built.described(image), built.base)
    assert json.loads(json.dumps(answer)) == EXPECTED[case.subject][case.name]


@pytest.mark.parametrize("case", REFUSED, ids=lambda c: c.title)
def test_the_same_mistakes_are_refused_at_the_same_line(workshop: Workshop, case: Case) -> None:
    directory = workshop.home / f"refused-{case.title}"
    case.lay_out(directory)
    result = workshop.command(directory, "--progress", "plain", "build", ok=False)
    answer, expected = ended(result.code, result.out + result.err), EXPECTED[case.subject][case.name]
    assert {key: answer[key] for key in expected} == expected, result.err
    assert "IndexError" not in result.err and "KeyError" not in result.err
