"""Fuzzes the loader: any bytes as a Compose file, any text as a template, .env file, port, mount, size, duration or command.

Not run by pytest. In a virtual environment with ``atheris`` and ``pyyaml``:

    python tests/fuzz/fuzz_loader.py -max_total_time=600 -timeout=2 -rss_limit_mb=500 CORPUS_DIRECTORY

Every input must be read or refused with a ComposeError, within two seconds and 500 MB.
"""

from __future__ import annotations

import contextlib
import json
import sys
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

with atheris.instrument_imports(include=["compose"]):
    from compose import render
    from compose.errors import ComposeError
    from compose.loader import LoadOptions, dotenv, load_tree, template
    from compose.loader.project import project
    from compose.schema import mounts, numbers, ports, words

WORDS = [
    "services:", "image: x", "build:", "extends:", "include:", "<<: *a", "&a", "!reset", "!override", "${A:-b}", "volumes:", "ports:", "networks:",
    "environment:", "depends_on:", "healthcheck:", "deploy:", "configs:", "secrets:", "---", "x-a:", "- ", "  ", "\n", "{", "}", "[", "]", "command: a",
]  # fmt: skip


def compose_file(text: str) -> None:
    """A whole file, loaded, bound and printed both ways."""
    options = LoadOptions(files=("/nowhere/compose.yaml",), environment={"A": "1", "HOME": "/root"}, texts={"/nowhere/compose.yaml": text})
    with contextlib.suppress(ComposeError):
        loaded = load_tree(options)
        render.as_yaml(render.document(loaded.tree, loaded.on))
        project(loaded)
        json.loads(render.as_json(render.document(loaded.tree, loaded.on, as_json=True), escape=False))


def small_grammars(text: str) -> None:
    """Every little language."""
    with contextlib.suppress(template.InvalidTemplate, template.MissingVariable):
        template.substitute(text, lambda name: None if len(name) % 2 else name)
    with contextlib.suppress(dotenv.DotenvError):
        dotenv.parse(text, lambda _: None)
    with contextlib.suppress(dotenv.DotenvError):
        dotenv.parse_raw(text, lambda _: None)
    for parse in (ports.parse, mounts.parse, mounts.parse_device, words.split, numbers.parse_size, numbers.parse_duration):
        with contextlib.suppress(ValueError):
            parse(text)


def one_input(data: bytes) -> None:
    """Bytes choose a target and are its text; or they choose words of the language."""
    provider = atheris.FuzzedDataProvider(data)
    match provider.ConsumeIntInRange(0, 2):
        case 0:
            compose_file(provider.ConsumeUnicodeNoSurrogates(4000))
        case 1:
            count = provider.ConsumeIntInRange(0, 60)
            compose_file(
                "".join(provider.PickValueInList(WORDS) + provider.PickValueInList(["", " ", "\n", "\n  ", "\n    "]) for _ in range(count))
            )
        case _:
            small_grammars(provider.ConsumeUnicodeNoSurrogates(400))


def main() -> None:
    """Run until told to stop."""
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
