"""Cases whose answers Docker Compose 2.40.3 gave (``docker compose config`` in an empty environment), recorded as data beside this file.

A line is a directory's files, the arguments and environment if any, and the canonical model, the YAML text, or the first line of the refusal.
``unloadable`` is YAML that Docker Compose itself does not read back as what it was made of: ours differs there, and does.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compose import render
from compose.errors import ComposeError
from compose.loader import Loaded, LoadOptions, load_tree
from compose.loader.project import project
from compose.model import Project

DATA = Path(__file__).parent / "data"
FLAGS = {
    "-f": "files",
    "--profile": "profiles",
    "--env-file": "env_files",
    "-p": "project_name",
    "--project-directory": "project_directory",
}


def options(args: str | None, env: str | None, directory: Path) -> LoadOptions:
    words = (args if args is not None else "-f compose.yaml").split()
    said: dict[str, Any] = {}
    for flag, value in zip(words[::2], words[1::2], strict=True):
        name = FLAGS[flag]
        said[name] = (*said.get(name, ()), value) if name in ("files", "profiles", "env_files") else value
    environment = {"PATH": "/bin", "HOME": "/root", **dict(pair.partition("=")[::2] for pair in (env or "").split())}
    return LoadOptions(**said, environment=environment, working_directory=str(directory))


def prune(node: Any) -> Any:
    if isinstance(node, dict):
        kept = {k: prune(v) for k, v in node.items()}
        return {k: v for k, v in kept.items() if v not in (None, {}, [])}
    return [prune(v) for v in node] if isinstance(node, list) else node


def load_case(case: dict[str, Any], root: Path) -> Loaded:
    directory = root / case["dir"]
    for name, text in case["files"].items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return load_tree(options(case.get("args"), case.get("env"), directory))


def difference(case: dict[str, Any], root: Path) -> str | None:
    try:
        loaded = load_case(case, root)
        shown = render.as_json(render.document(loaded.tree, loaded.on, as_json=True))
        text = render.as_yaml(render.document(loaded.tree, loaded.on)) if "yaml" in case else ""
    except ComposeError as e:
        return None if "error" in case else f"refused: {e}"
    if "error" in case:
        return f"accepted, but Compose says: {case['error']}"
    here, parent = str(root / case["dir"]), str(root)
    got = prune(json.loads(shown.replace(here, "${DIR}").replace(parent, "${PARENT}")))
    if got != case["config"]:
        return f"wanted {case['config']}, got {got}"
    if "yaml" in case and text.replace(here, "${DIR}").replace(parent, "${PARENT}") != case["yaml"]:
        return f"wanted {case['yaml']}, got {text}"
    return None


@pytest.mark.parametrize("group", sorted(p.stem for p in DATA.glob("*.jsonl")))
def test_what_compose_says(group: str, tmp_path: Path) -> None:
    cases = [json.loads(line) for line in (DATA / f"{group}.jsonl").read_text().rstrip("\n").split("\n")]
    assert len(cases) > 50
    wrong = [f"{case['dir']} {case['files']}: {found}" for case in cases if (found := difference(case, tmp_path.resolve()))]
    assert not wrong, f"{len(wrong)} differ, first: {wrong[0]}"


def meaning(model: Project) -> Project:
    """A model without what differs between two places: paths of files, variables, warnings."""
    return replace(model, files=(), working_dir="", env_files=(), environment={}, warnings=(), raw={}, profiles=(), disabled_services={})


def test_printed_yaml_loads_back_to_the_same(tmp_path: Path) -> None:
    tried = 0
    wrong = []
    for group in ("rules", "top", "merge", "forms", "shapes"):
        for line in (DATA / f"{group}.jsonl").read_text().rstrip("\n").split("\n"):
            case = json.loads(line)
            if "error" in case:
                continue
            loaded = load_case(case, tmp_path.resolve())
            model = project(loaded)
            text = render.as_yaml(render.document(loaded.tree, loaded.on))
            again_path = tmp_path / "again" / "compose.yaml"
            again_path.parent.mkdir(exist_ok=True)
            again_path.write_text(text)
            again = load_tree(LoadOptions(files=(str(again_path),), profiles=("*",), environment={"HOME": "/root"}))
            second = render.as_yaml(render.document(again.tree, again.on))
            tried += 1
            if second != text or meaning(project(again)) != meaning(model):
                wrong.append((case["files"], text, second))
    assert tried > 500
    assert not wrong, f"{len(wrong)} differ: {wrong}"
