"""The JSON Schema is valid, takes what the loader takes, and refuses what no form allows."""

from __future__ import annotations

import json

import jsonschema_rs
import pytest
import yaml

from compose.schema.project import json_schema

from .test_golden import DATA


@pytest.fixture(scope="module")
def validator() -> jsonschema_rs.Draft202012Validator:
    jsonschema_rs.meta.validate(json_schema())
    return jsonschema_rs.Draft202012Validator(json_schema())


class Loader(yaml.SafeLoader):
    """YAML 1.2's scalars, near enough for a schema: no yes and no, no base 60, no dates."""


Loader.yaml_implicit_resolvers = {
    first: [(tag, regexp) for tag, regexp in resolvers if tag.rpartition(":")[2] in ("int", "float", "null", "merge")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for letter in "tTfF":
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", __import__("re").compile("^(true|True|TRUE|false|False|FALSE)$"), [letter])


@pytest.mark.parametrize("group", ["rules", "top", "forms"])
def test_what_is_accepted_fits(validator: jsonschema_rs.Draft202012Validator, group: str) -> None:
    tried = 0
    for line in (DATA / f"{group}.jsonl").read_text().rstrip("\n").split("\n"):
        case = json.loads(line)
        text = case["files"]["compose.yaml"]
        if "error" in case or "22:22" in text or "foo: 1" in text:
            continue
        assert validator.is_valid(yaml.load(text, Loader)), (text, [e.message for e in validator.iter_errors(yaml.load(text, Loader))])
        tried += 1
    assert tried > 100


@pytest.mark.parametrize(
    "document",
    [
        {"services": {"a": {"imge": "x"}}},
        {"services": {"a b": {"image": "x"}}},
        {"services": {"a": {"ports": "80"}}},
        {"foo": 1},
        {"services": {"a": {"image": 5}}},
        {"services": {"a": {"cgroup": "hots"}}},
        {"services": {"a": {"depends_on": {"b": {"condition": "soon"}}}}},
        {"services": {"a": {"volumes": [{"target": "/x"}]}}},
        {"services": {"a": {"healthcheck": {"interval": 5}}}},
    ],
)
def test_what_no_form_allows_is_refused(validator: jsonschema_rs.Draft202012Validator, document: object) -> None:
    assert not validator.is_valid(document)


def test_attributes_are_described() -> None:
    service = json_schema()["properties"]["services"]["patternProperties"]["^[a-zA-Z0-9._-]+$"]["properties"]  # type: ignore[index, call-overload]
    assert len(service) > 90
    assert not [key for key, described in service.items() if "description" not in described and key != "credential_spec"]  # type: ignore[union-attr, operator]
