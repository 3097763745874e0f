"""Which suite a tag means, and where its packages come from: the host's own apt sources where they fit. Reads files only."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Mapping

from runtime import store
from runtime.errors import ImageError
from runtime.images.reference import Reference
from runtime.record import dataclass

_DEBIAN = {"10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky", "latest": "stable"}
_UBUNTU = {"20.04": "focal", "22.04": "jammy", "24.04": "noble", "26.04": "resolute", "latest": "noble"}
_WITHOUT_UPDATES = ("sid", "unstable", "experimental", "buster")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stanza:
    """One entry of apt's sources (sources.list(5)): an archive, its suites and components, and the keyring that signs it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...] = ("main",)
    signed_by: str = ""

    def lines(self) -> tuple[str, ...]:
        """One-line style, for the bootstrap tool."""
        option = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return tuple(f"deb {option}{self.uri} {suite} {' '.join(self.components)}" for suite in self.suites)

    def deb822(self) -> str:
        """deb822 style, for the image."""
        signed = f"Signed-By: {self.signed_by}\n" if self.signed_by else ""
        return f"Types: deb\nURIs: {self.uri}\nSuites: {' '.join(self.suites)}\nComponents: {' '.join(self.components)}\n{signed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """What is to be bootstrapped; no ``sources`` means that the tool's own default mirror is used."""

    distribution: str
    name: str
    slim: bool
    sources: tuple[Stanza, ...] = ()


def suite_of(reference: Reference, mirror: str = "") -> Suite:
    """The suite for ``debian:bookworm-slim``, ``debian:12``, ``ubuntu:24.04`` … Raises ImageError for other tags."""
    distribution = reference.familiar_name
    word = reference.tag.removesuffix("-slim")
    name = (_DEBIAN if distribution == "debian" else _UBUNTU).get(word, word)
    if not name.isalpha():
        raise ImageError(
            f"{reference.familiar}: {reference.tag!r} is not a suite", hint="use the suite's name, as debian:bookworm-slim or ubuntu:noble"
        )
    slim = reference.tag.endswith("-slim")
    return Suite(distribution=distribution, name=name, slim=slim, sources=_sources(distribution, name, mirror))


def _sources(distribution: str, name: str, mirror: str) -> tuple[Stanza, ...]:
    components = ("main",) if distribution == "debian" else ("main", "universe")
    keyring = f"/usr/share/keyrings/{distribution}-archive-keyring.gpg"
    if mirror:
        return (Stanza(uri=mirror, suites=(name,), components=components, signed_by=keyring),)
    if _host_distribution() != distribution:
        return ()
    found: list[Stanza] = []
    for stanza in host_stanzas():
        suites = _same_kind(stanza, name)
        if suites and "main" in stanza.components:
            found.append(Stanza(uri=stanza.uri, suites=suites, components=components, signed_by=keyring))
    return tuple(dict.fromkeys(found))


def _same_kind(stanza: Stanza, name: str) -> tuple[str, ...]:
    """The host's suites of one archive, said for ``name``: bookworm → trixie, bookworm-security → trixie-security."""
    host = _host_suite()
    renamed = [name + s[len(host) :] for s in stanza.suites if s == host or s.startswith(f"{host}-")]
    if name in _WITHOUT_UPDATES:
        renamed = [s for s in renamed if s == name]
    return tuple(s for s in renamed if not s.endswith(("-backports", "-proposed", "-proposed-updates")))


def _release() -> Mapping[str, str]:
    text = (store.read_file("/etc/os-release") or b"").decode()
    return {key: value.strip('"') for key, _, value in (line.partition("=") for line in text.splitlines())}


def _host_distribution() -> str:
    return _release().get("ID", "")


def _host_suite() -> str:
    return _release().get("VERSION_CODENAME", "")


def host_stanzas() -> Iterator[Stanza]:
    """The host's apt sources, both styles."""
    for path in ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]:
        text = (store.read_file(path) if os.path.isfile(path) else None) or b""
        if path.endswith(".sources"):
            yield from _deb822(text.decode("utf-8", "replace"))
        elif path.endswith(".list"):
            yield from _one_line(text.decode("utf-8", "replace"))


def _deb822(text: str) -> Iterator[Stanza]:
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for block in "\n".join(lines).split("\n\n"):
        fields = {key.strip().lower(): value.split() for key, _, value in (line.partition(":") for line in block.splitlines())}
        if "deb" not in fields.get("types", []) or fields.get("enabled") == ["no"]:
            continue
        for uri in fields.get("uris", []):
            yield Stanza(uri=uri, suites=tuple(fields.get("suites", [])), components=tuple(fields.get("components", [])))


def _one_line(text: str) -> Iterator[Stanza]:
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words or words[0] != "deb":
            continue
        if len(words) > 1 and words[1].startswith("["):
            closing = next((i for i, word in enumerate(words) if word.endswith("]")), 0)
            words = [words[0], *words[closing + 1 :]]
        if len(words) >= 4:
            yield Stanza(uri=words[1], suites=(words[2],), components=tuple(words[3:]))
