"""Puts the phases in order for one set of files: every document is interpolated, read by the tables, extended, and laid over the ones before.

Runs in the command's process. Includes come back here with an environment and a directory of their own.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from compose.errors import LoadError, Problem
from compose.loader import interpolate
from compose.loader.discover import read_env_files
from compose.loader.document import Document, Sources, read
from compose.loader.interpolate import Interpolation
from compose.loader.merge import Merge, take_out
from compose.loader.normalize import defaults
from compose.loader.options import LoadOptions
from compose.loader.paths import Paths, fetching, is_remote
from compose.schema.base import Reading, Rejected, nearest
from compose.schema.project import PROJECT, service
from compose.schema.tree import Map, Origin, Seq, Value, copy

if TYPE_CHECKING:
    from compose.loader.history import History


class Workspace:
    """What all files of one load share: texts, mistakes, warnings, the history for ``--explain``."""

    def __init__(self, options: LoadOptions) -> None:
        self.options = options
        self.sources = Sources()
        self.history = _history() if options.explain else None
        self.warnings: list[str] = []
        self.documents: dict[str, str] = {}
        self.home = (options.environment or os.environ).get("HOME") or os.path.expanduser("~")

    def text(self, file: str) -> str:
        """The text of a file; "-" is the standard input. Raises LoadError."""
        if file not in self.documents:
            self.documents[file] = self.options.texts[file] if file in self.options.texts else _text(file)
        return self.documents[file]

    def reading(self) -> Reading:
        """A pass over a tree, as the options have it."""
        return Reading(self.sources.locate, literal=not self.options.interpolate, as_written=self.options.as_written)

    def warn(self, warning: str) -> None:
        """Say something once."""
        if warning not in self.warnings:
            self.warnings.append(warning)

    def unset(self, name: str) -> None:
        """A variable is used and not set."""
        self.warn(f'The "{name}" variable is not set. Defaulting to a blank string.')


def _history() -> History:
    from compose.loader.history import History

    return History()


def _text(file: str) -> str:
    try:
        if file == "-":
            data = sys.stdin.buffer.read()
        else:
            with open(file, "rb") as stream:
                data = stream.read()
    except OSError as e:
        raise LoadError(Problem(path="", message=f"open {file}: {(e.strerror or str(e)).lower()}")) from None
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        raise LoadError(Problem(path="", message=f"{file}:{line}: not valid UTF-8")) from None


class Layers:
    """One project's files, or those of one include: an environment, a directory, and the trees so far."""

    def __init__(self, work: Workspace, environment: Mapping[str, str], directory: str, including: tuple[str, ...] = ()) -> None:
        self.work = work
        self.environment = environment
        self.directory = directory
        self.including = including
        self.extended: dict[str, list[Map]] = {}
        self.present_resets: list[tuple[str | int, ...]] = []

    def load(self, files: list[str]) -> Map:
        """The merged canonical tree of ``files``, paths still relative. Raises LoadError."""
        result = Map()
        for file in files:
            documents = read(self.work.text(file), file, self.work.sources)
            if not documents:
                raise LoadError(Problem(path="", message=f"empty compose file: {file}", hint="a Compose file has at least 'services:'"))
            for document in documents:
                self.lay(result, document, file)
        return result

    def lay(self, result: Map, document: Document, file: str) -> None:
        """Put one document over what is there."""
        self.present_resets = document.resets + document.overrides
        take_out(result, self.present_resets)
        tree = self.canonical(document, file)
        if isinstance(tree.get("include"), Seq):
            included = self.include(tree)
            take_out(included, document.resets + document.overrides)
            tree = self.merge().lay(included, tree) if included else tree
            tree.drop("include")
        self.extend(tree, file)
        merge = self.merge()
        merge.unique(tree)
        if not result.origin:
            result.origin = tree.origin
        merge.lay(result, tree)
        reading = self.work.reading()
        PROJECT.check(result, result.origin, reading)
        refuse(reading.problems)

    def merge(self) -> Merge:
        """How trees are laid over each other here; the history hears of replaced values."""
        history = self.work.history
        return Merge(history.replaced if history else None, as_written=self.work.options.as_written)

    def canonical(self, document: Document, file: str) -> Map:
        """One document, interpolated and read by the tables. Raises LoadError with all its mistakes."""
        problems = self.interpolate(document)
        reading = self.work.reading()
        tree = PROJECT.read(document.tree, document.tree.origin, reading)
        for warning in reading.warnings:
            self.work.warn(warning)
        refuse([*problems, *reading.problems])
        assert isinstance(tree, Map)
        if "version" in tree:
            tree.drop("version")
            self.work.warn(
                f"{file}: the attribute `version` is obsolete, it will be ignored, please remove it to avoid potential confusion"
            )
        return tree

    def interpolate(self, document: Document) -> list[Problem]:
        """Replace expressions in place; the mistakes."""
        if not self.work.options.interpolate or not document.pending:
            return []
        history = self.work.history
        how = Interpolation(self.environment.get, self.work.unset, history.used if history else None)
        return interpolate.apply(document.pending, how, self.work.sources.locate)

    # include

    def include(self, tree: Map) -> Map:
        """What the included files say, their paths made absolute."""
        result = Map(tree.origin)
        entries = tree["include"]
        assert isinstance(entries, Seq)
        for entry, origin in entries.placed():
            if isinstance(entry, Map) and isinstance(entry.get("path"), Seq) and entry["path"]:
                self.merge().lay(result, self.included(entry, origin))
        return result

    def included(self, entry: Map, origin: Origin | None) -> Map:
        """One entry of ``include``."""
        paths = [self.absolute(str(path), origin) for path in entry["path"]]  # type: ignore[union-attr]
        directory = self.absolute(str(entry["project_directory"])) if entry.get("project_directory") else os.path.dirname(paths[0])
        if paths[0] in self.including:
            chain = "\n include ".join([*self.including[self.including.index(paths[0]) :], paths[0]])
            raise LoadError(self.problem("include", f"include cycle detected:\n{chain}", origin))
        environment = {**self.include_variables(entry, directory, origin), **self.environment}
        layers = Layers(self.work, environment, directory, (*self.including, paths[0]))
        try:
            tree = layers.load(paths)
        except LoadError as e:
            if e.problems[0].position is None:
                e = LoadError(
                    *(Problem(path=p.path, message=p.message, position=self.work.sources.locate(origin), hint=p.hint) for p in e.problems)
                )
            raise e from None
        defaults(tree, as_written=self.work.options.as_written)
        if self.work.options.resolve_paths:
            Paths(directory, self.work.home).project(tree)
        else:
            Paths(os.path.relpath(directory, self.directory), self.work.home).project(tree)
        pass_through(tree, environment)
        tree.drop("name")
        for key in [k for k in tree if k[:2] == "x-"]:
            tree.drop(key)
        return tree

    def include_variables(self, entry: Map, directory: str, origin: Origin | None) -> dict[str, str]:
        """Variables of an include's own env files."""
        files = entry.get("env_file")
        if isinstance(files, Seq) and files:
            paths = [self.absolute(str(f)) for f in files]
        else:
            default = os.path.join(directory, ".env")
            paths = [default] if os.path.isfile(default) else []
        merged: dict[str, str] = {}
        try:
            for values in read_env_files(paths, self.environment).values():
                merged.update(values)
        except LoadError as e:
            problem = e.problems[0]
            raise LoadError(self.problem("include", problem.message, origin) if problem.position is None else problem) from None
        return merged

    def absolute(self, path: str, origin: Origin | None = None) -> str:
        """A path of this project. Raises LoadError for an address."""
        if is_remote(path):
            raise LoadError(self.problem("", f"remote files are not fetched: {path}", origin, fetching(path)))
        return Paths(self.directory, self.work.home).absolute(path)

    def problem(self, path: str, message: str, origin: Origin | None, hint: str | None = None) -> Problem:
        """A mistake at a place."""
        return Problem(path=path, message=message, position=self.work.sources.locate(origin), hint=hint)

    # extends

    def extend(self, tree: Map, file: str) -> None:
        """Resolve ``extends`` of every service of one layer."""
        services = tree.get("services")
        if not isinstance(services, Map):
            return
        for name in list(services):
            self.extend_service(services, name, file, ())

    def extend_service(self, services: Map, name: str, file: str, chain: tuple[tuple[str, str], ...]) -> Value:
        """One service with what it extends under it."""
        own = services.get(name)
        extends = own.get("extends") if isinstance(own, Map) else None
        if not isinstance(own, Map) or not isinstance(extends, Map):
            return own
        origin = own.where("extends")
        chain = self.follow(chain, file, name, origin)
        target = str(extends.get("service", ""))
        if extends.get("file"):
            base = self.base_from_file(name, target, str(extends["file"]), file, chain, extends)
        elif target not in services:
            close = nearest(target, services)
            message = f'cannot extend service "{name}" in {file}: service "{target}" not found'
            raise LoadError(
                self.problem(f"services.{name}.extends", message, extends.where("service"), f"did you mean {close!r}?" if close else None)
            )
        else:
            base = self.extend_service(services, target, file, chain)
        own.drop("extends")
        if isinstance(base, Map):
            base = copy(base)
            assert isinstance(base, Map)
            merge = self.merge()
            merge.path = ["services", name]
            merge.unique(base)
            take_out(base, self.resets(file, name))
            services.adopt(name, merge.service(base, own), services)
        return services[name]

    def follow(self, chain: tuple[tuple[str, str], ...], file: str, name: str, origin: Origin | None) -> tuple[tuple[str, str], ...]:
        """The chain of extends one longer. Raises LoadError when it closes."""
        if (file, name) in chain:
            steps = "\n".join(f"  {service} in {source}" for source, service in (*chain[chain.index((file, name)) :], (file, name)))
            raise LoadError(
                self.problem(f"services.{name}.extends", f"Circular reference:\n{steps}", origin, "a service cannot extend itself")
            )
        if len(chain) > 100:
            raise LoadError(self.problem(f"services.{name}.extends", "more than 100 services extend each other", origin))
        return (*chain, (file, name))

    def resets(self, file: str, name: str) -> list[tuple[str | int, ...]]:
        """What ``!reset`` and ``!override`` under a service of the present document point at, from the service on."""
        return [path[2:] for path in self.present_resets if path[:2] == ("services", name) and len(path) > 2]

    def base_from_file(self, name: str, target: str, path: str, file: str, chain: tuple[tuple[str, str], ...], extends: Map) -> Value:
        """A service of another file, its paths made absolute."""
        origin = extends.where("file")
        other = self.absolute(path, origin)
        layers = Layers(self.work, self.environment, os.path.dirname(other), self.including)
        if other not in self.extended:
            self.extended[other] = self.raw_services(layers, other, name, origin)
        raw = self.extended[other]
        if not any(target in document for document in raw):
            message = f'cannot extend service "{name}" in {file}: service "{target}" not found in {path}'
            close = nearest(target, {key for document in raw for key in document})
            raise LoadError(
                self.problem(f"services.{name}.extends", message, extends.where("service"), f"did you mean {close!r}?" if close else None)
            )
        services = Map(raw[0].origin)
        wanted, done = [target], set()
        while wanted:
            current = wanted.pop()
            if current in done:
                continue
            done.add(current)
            read_service = self.read_service(raw, current)
            if read_service is not None:
                services.put(current, read_service, read_service.origin)
            extends_of = read_service.get("extends") if isinstance(read_service, Map) else None
            if isinstance(extends_of, Map) and not extends_of.get("file"):
                wanted.append(str(extends_of.get("service")))
        base = layers.extend_service(services, target, other, chain)
        if isinstance(base, Map):
            base = copy(base)
            directory = (
                os.path.dirname(other) if self.work.options.resolve_paths else os.path.relpath(os.path.dirname(other), self.directory)
            )
            Paths(directory, self.work.home).service(base)  # type: ignore[arg-type]
        return base

    def raw_services(self, layers: Layers, other: str, name: str, origin: Origin | None) -> list[Map]:
        """The services of each document of another file, interpolated, not yet read."""
        try:
            documents = read(self.work.text(other), other, self.work.sources)
        except LoadError as e:
            if e.problems[0].position is not None:
                raise
            raise LoadError(self.problem(f"services.{name}.extends.file", e.problems[0].message, origin)) from None
        services: list[Map] = []
        for document in documents:
            refuse(layers.interpolate(document))
            found = document.tree.get("services")
            if isinstance(found, Map):
                services.append(found)
        return services

    def read_service(self, raw: list[Map], name: str) -> Map | None:
        """One service of another file, read by the tables. Raises LoadError."""
        reading = self.work.reading()
        result: Map | None = None
        for document in raw:
            reading.path = ["services", name]
            if document.get(name) is None:
                continue
            try:
                part = service.read(copy(document[name]), document.where(name), reading)
            except Rejected:
                continue
            if isinstance(part, Map):
                result = part if result is None else self.merge().service(result, part)
        for warning in reading.warnings:
            self.work.warn(warning)
        refuse(reading.problems)
        return result


def pass_through(tree: Map, environment: Mapping[str, str]) -> None:
    """Give variables without a value the one they have in an environment of their own."""
    services = tree.get("services")
    for item in services.values() if isinstance(services, Map) else ():
        variables = item.get("environment") if isinstance(item, Map) else None
        for key in [k for k, v in variables.items() if v is None] if isinstance(variables, Map) else ():
            if key in environment:
                variables[key] = environment[key]  # type: ignore[index, call-overload]


def refuse(problems: list[Problem]) -> None:
    """Raise what there is, each thing once."""
    if problems:
        seen: dict[str, Problem] = {}
        for problem in problems:
            seen.setdefault(str(problem), problem)
        raise LoadError(*seen.values())
