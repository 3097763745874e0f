"""Git repositories as contexts and as sources of ADD: checked out by the ``git`` program below ``<root>/images/cache/git``.

A checkout is named by its commit and never changes. Runs in worker threads of the command's process.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil

from runtime.errors import BuildError
from runtime.record import dataclass

_COMMIT = re.compile(r"[0-9a-f]{40}")
_TIMEOUT = 600.0
_HOSTS = ("github.com/", "gitlab.com/", "bitbucket.org/")


@dataclass(frozen=True, slots=True)
class GitReference:
    """``url#ref:directory`` taken apart; "" is the default branch, or the whole tree."""

    url: str
    ref: str = ""
    directory: str = ""


@dataclass(frozen=True, slots=True)
class Checkout:
    """A tree on disk, and the commit it is."""

    directory: str
    commit: str


def parse(text: str) -> GitReference | None:
    """A git URL, or None for anything else (BuildKit, util/gitutil)."""
    url, _, fragment = text.partition("#")
    ref, _, directory = fragment.partition(":")
    if url.startswith(_HOSTS):
        url = f"https://{url}"
    elif re.match(r"[\w.-]+@[\w.-]+:(?!//)", url) or url.startswith(("git://", "ssh://")):
        pass
    elif not (url.startswith(("http://", "https://")) and url.endswith(".git")):
        return None
    return GitReference(url, ref, directory.strip("/"))


def checkout(wanted: GitReference, cache: str, *, keep_git_dir: bool = False) -> Checkout:
    """The tree at a reference. Raises BuildError when git is missing or fails."""
    if wanted.url.startswith("-") or wanted.ref.startswith("-"):
        raise BuildError(f"invalid git reference {wanted.url}#{wanted.ref}")
    commit = wanted.ref if _COMMIT.fullmatch(wanted.ref) else _resolve(wanted)
    name = hashlib.sha256(f"{wanted.url}\0{commit}\0{keep_git_dir}".encode()).hexdigest()[:32]
    home = f"{cache}/git/{name}"
    if not os.path.isdir(home):
        _fetch(wanted, commit, home, keep_git_dir=keep_git_dir)
    directory = os.path.normpath(f"{home}/{wanted.directory}")
    if os.path.realpath(directory) != os.path.realpath(home) and not os.path.realpath(directory).startswith(os.path.realpath(home) + "/"):
        raise BuildError(f"{wanted.directory} leads out of the repository {wanted.url}")
    if not os.path.isdir(directory):
        raise BuildError(f"{wanted.url} has no directory {wanted.directory!r} at {commit[:12]}")
    return Checkout(directory, commit)


def _resolve(wanted: GitReference) -> str:
    names = [wanted.ref, f"refs/heads/{wanted.ref}", f"refs/tags/{wanted.ref}"] if wanted.ref else ["HEAD"]
    listed = _git("ls-remote", "--", wanted.url, *names, *([f"{wanted.ref}^{{}}"] if wanted.ref else []))
    found = {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}
    for name in (f"refs/tags/{wanted.ref}^{{}}", f"refs/heads/{wanted.ref}", f"refs/tags/{wanted.ref}", wanted.ref, "HEAD"):
        if name in found and (name != "HEAD" or not wanted.ref):
            return found[name]
    raise BuildError(f"repository {wanted.url} has no ref {wanted.ref!r}", hint="a branch, a tag, or a commit's 40 digits")


def _fetch(wanted: GitReference, commit: str, home: str, *, keep_git_dir: bool) -> None:
    fresh = f"{home}.{os.getpid()}-{os.urandom(4).hex()}"
    os.makedirs(fresh, mode=0o700)
    try:
        _git("init", "--quiet", fresh)
        try:
            _git("-C", fresh, "fetch", "--quiet", "--depth=1", "--", wanted.url, commit)
        except BuildError:  # servers may refuse shallow fetches, or commits that no ref names
            _git("-C", fresh, "fetch", "--quiet", "--tags", "--", wanted.url, "+refs/heads/*:refs/remotes/origin/*")
        _git("-C", fresh, "-c", "advice.detachedHead=false", "checkout", "--quiet", commit)
        if os.path.exists(f"{fresh}/.gitmodules"):
            _git("-C", fresh, "submodule", "update", "--init", "--recursive", "--depth=1")
        if not keep_git_dir:
            _remove_git_dirs(fresh)
        os.chmod(fresh, 0o755)
        os.rename(fresh, home)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _remove_git_dirs(tree: str) -> None:
    for directory, names, files in os.walk(tree):
        if ".git" in names:
            shutil.rmtree(f"{directory}/.git")
            names.remove(".git")
        elif ".git" in files:
            os.unlink(f"{directory}/.git")


def _git(*arguments: str) -> str:
    import subprocess

    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    program = shutil.which("git")
    if program is None:
        raise BuildError("this needs the program git, which is not installed", hint="apt-get install git")
    options = ("-c", "protocol.ext.allow=never", "-c", "protocol.file.allow=never")
    try:
        done = subprocess.run(
            [program, *options, *arguments],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise BuildError(f"git {arguments[0]} took longer than {_TIMEOUT:.0f} s") from None
    if done.returncode:
        raise BuildError(f"git {' '.join(a for a in arguments if not a.startswith('-'))}: {done.stderr.strip()[-500:]}")
    return done.stdout
