"""What ``config`` prints is the project again: whole projects are drawn from the loader's tables, printed, loaded back and compared."""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import HealthCheck, assume, given, settings

from compose import render
from compose.errors import ComposeError
from compose.loader import Loaded, LoadOptions, load_tree
from compose.loader.project import project
from compose.model import Project

from .projects import projects

FILE = "/nowhere/compose.yaml"

# What JSON has no form for, or shows under another name, as the reference does.
NOT_JSON = frozenset(("models", "blkio_config", "ssh", "discrete_resource_spec", "options", "pull_refresh_after", "ulimits"))


def loaded(text: str) -> Loaded:
    options = LoadOptions(files=(FILE,), environment={"HOME": "/root"}, texts={FILE: text})
    return load_tree(options)


def meaning(model: Project) -> Project:
    """A model without what a printed file cannot know: the document itself, what is off, what was warned of."""
    return replace(model, raw={}, disabled_services={}, warnings=())


def first_load(document: dict[str, object]) -> Loaded:
    try:
        return loaded(json.dumps(document))
    except ComposeError:
        assume(False)
        raise


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(projects())
def test_yaml_loads_back_to_the_same_model(document: dict[str, object]) -> None:
    first = first_load(document)
    text = render.as_yaml(render.document(first.tree, first.on))
    again = loaded(text)
    assert meaning(project(again)) == meaning(project(first))
    assert render.as_yaml(render.document(again.tree, again.on)) == text


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(projects(empties=False, without=NOT_JSON))
def test_json_loads_back_to_the_same_model(document: dict[str, object]) -> None:
    first = first_load(document)
    text = render.as_json(render.document(first.tree, first.on, as_json=True))
    again = loaded(text)
    assert meaning(project(again)) == meaning(project(first))
    assert render.as_json(render.document(again.tree, again.on, as_json=True)) == text
