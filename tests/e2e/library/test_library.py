"""Entrypoint images as the Docker Library makes them (postgres, mariadb, redis, nginx, wordpress), built from Debian, in one project."""

from __future__ import annotations

import json
import shutil
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import ROOT, CommandLine, assert_nothing_left

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(1500)]
SITE = "http://127.0.0.1:18080"
SERVICES = {"postgres", "mariadb", "redis", "cache", "wordpress", "nginx"}
BOTH = ["from the sql file", "from the script"]


class Library:
    """The project, and how to ask its services."""

    def __init__(self, pycompose: CommandLine, directory: Path) -> None:
        self._pycompose, self._directory = pycompose, directory

    def __call__(self, *arguments: str, ok: bool = True, input: str | None = None) -> str:
        return self._pycompose(self._directory, *arguments, ok=ok, input=input, timeout=400, EXAMPLES=str(ROOT / "examples")).out

    def run(self, service: str, *arguments: str, ok: bool = True) -> str:
        return self("exec", "-T", service, *arguments, ok=ok).strip()

    def psql(self, sql: str) -> str:
        """Over the network, with the password of the secret."""
        ask = f'PGPASSWORD=$(cat /run/secrets/password) psql -X -h postgres -U keeper -d stock -Atc "{sql}"'
        return self.run("postgres", "sh", "-c", ask)

    def mariadb(self, sql: str) -> str:
        """Over the network, with the password of the secret."""
        ask = f'MYSQL_PWD=$(cat /run/secrets/password) mariadb -h mariadb -u keeper stock -NBe "{sql}"'
        return self.run("mariadb", "sh", "-c", ask)

    def user_of_first_process(self, service: str) -> str:
        return self.run(service, "stat", "-c", "%U", "/proc/1")


@pytest.fixture(scope="module")
def directory(pycompose: CommandLine, debian: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with its images built; databases and WordPress are those of the examples, built once for all tests."""
    home = tmp_path_factory.mktemp("e2e") / "library"
    shutil.copytree(ROOT / "tests/e2e/library", home)
    pycompose(home, "build", timeout=1200, EXAMPLES=str(ROOT / "examples"))
    return home


@pytest.fixture
def library(pycompose: CommandLine, directory: Path, private_network: None) -> Iterator[Library]:
    project = Library(pycompose, directory)
    try:
        project("up", "-d", "--wait", "--wait-timeout", "180")
        yield project
    finally:
        project("down", "-v", "-t", "2", ok=False)
    assert_nothing_left(pycompose)


def fetch(path: str, form: dict[str, str] | None = None) -> str:
    body = urllib.parse.urlencode(form).encode() if form else None
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(SITE + path, body, timeout=60) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{path}: {error.code}\n{error.read().decode()[-2000:]}") from None


def test_all_of_them_do_what_people_know_of_them(library: Library) -> None:
    states = [json.loads(line) for line in library("ps", "--format", "json").splitlines()]
    assert {s["Service"] for s in states if s["Health"] == "healthy"} == SERVICES
    postgres(library)
    mariadb(library)
    redis(library)
    nginx(library)
    wordpress(library)
    goes_and_comes_back(library)


def postgres(library: Library) -> None:
    assert library.psql("SELECT what FROM visits ORDER BY id").splitlines() == BOTH
    assert library.psql("SHOW data_directory; SHOW max_connections; SHOW data_checksums; SHOW listen_addresses").split() == [
        "/var/lib/postgresql/data/pgdata", "33", "on", "*",
    ]  # fmt: skip
    refused = 'PGPASSWORD=wrong psql -X -h postgres -U keeper -d stock -c "SELECT 1" 2>&1'
    assert "password authentication failed" in library.run("postgres", "sh", "-c", refused, ok=False)
    with socket.create_connection(("127.0.0.1", 15432), 10) as published:
        published.sendall(bytes.fromhex("0000000804d2162f"))  # SSLRequest (PostgreSQL protocol, message formats)
        assert published.recv(1) in (b"N", b"S")
    assert library.user_of_first_process("postgres") == "postgres"


def mariadb(library: Library) -> None:
    assert library.mariadb("SELECT what FROM visits ORDER BY id").splitlines() == BOTH
    assert library.mariadb("SELECT CURRENT_USER()") == "keeper@%"
    generated = next(line for line in library("logs", "--no-log-prefix", "mariadb").splitlines() if "GENERATED ROOT PASSWORD" in line)
    ask = "MYSQL_PWD=$0 mariadb -h mariadb -u root -NBe 'SELECT COUNT(*) FROM mysql.user WHERE user = \"root\"'"
    assert int(library.run("mariadb", "sh", "-c", ask, generated.partition(": ")[2].strip())) >= 2
    assert "Access denied" in library.run("mariadb", "sh", "-c", "MYSQL_PWD=x mariadb -h mariadb -u root 2>&1", ok=False)
    assert library.run("mariadb", "healthcheck.sh", "--connect", "--innodb_initialized") == ""
    assert library.user_of_first_process("mariadb") == "mysql"


def redis(library: Library) -> None:
    ask = ("redis-cli", "-h", "redis", "-a", "secret", "--no-auth-warning")
    assert library.run("cache", *ask, "set", "kept", "yes") == "OK"
    assert "NOAUTH" in library.run("cache", "redis-cli", "-h", "redis", "get", "kept")
    assert library.run("cache", *ask, "config", "get", "appendonly").split() == ["appendonly", "yes"]
    assert library.run("redis", "redis-cli", "-h", "cache", "-p", "6380", "config", "get", "maxmemory").split()[1] == str(8 << 20)
    assert library.user_of_first_process("redis") == library.user_of_first_process("cache") == "redis"
    assert set(library.run("redis", "find", "/data", "-printf", "%u\n").split()) == {"redis"}


def nginx(library: Library) -> None:
    assert fetch("/status").startswith("hello from ")
    assert "listen 8080;" in library.run("nginx", "cat", "/etc/nginx/conf.d/site.conf")
    lines = library("logs", "--no-log-prefix", "nginx")
    assert "made /etc/nginx/conf.d/site.conf" in lines
    assert '"GET /status HTTP/1.1" 200' in lines


def wordpress(library: Library) -> None:
    done = fetch("/wp-admin/install.php?step=2", {
        "weblog_title": "A library", "user_name": "admin", "admin_password": "correct horse battery staple", "pw_weak": "on",
        "admin_password2": "correct horse battery staple", "admin_email": "admin@example.com", "blog_public": "0", "language": "",
    })  # fmt: skip
    assert "Success" in done
    assert "A library" in fetch("/")
    assert library.mariadb("SELECT option_value FROM site_options WHERE option_name = 'blogname'") == "A library"
    assert "WP_POST_REVISIONS', 7" in library.run("wordpress", "cat", "wp-config.php")


def goes_and_comes_back(library: Library) -> None:
    """Every one ends by itself on its own signal, long before it would be killed, and finds its data again."""
    began = time.monotonic()
    library("stop", "-t", "60")
    assert time.monotonic() - began < 30
    ended = {row["Service"]: row["ExitCode"] for row in map(json.loads, library("ps", "-a", "--format", "json").splitlines())}
    assert ended == dict.fromkeys(SERVICES, 0)
    library("up", "-d", "--wait", "--wait-timeout", "120")
    assert library.psql("SELECT COUNT(*) FROM visits") == "2"
    assert library.run("redis", "redis-cli", "-a", "secret", "--no-auth-warning", "get", "kept") == "yes"
    assert "A library" in fetch("/")
    assert "nothing to set up" in library("logs", "postgres")


@pytest.mark.parametrize(
    ("image", "environment", "told"),
    [
        ("postgres", (), "set POSTGRES_PASSWORD"),
        ("postgres", ("POSTGRES_PASSWORD=x", "POSTGRES_PASSWORD_FILE=/run/secrets/password"), "are set"),
        ("mariadb", ("MARIADB_RANDOM_ROOT_PASSWORD=",), "set one of MARIADB_ROOT_PASSWORD"),
    ],
)
def test_what_is_missing_is_said(
    pycompose: CommandLine, directory: Path, private_network: None, image: str, environment: tuple[str, ...], told: str
) -> None:
    home = directory.parent / "lone"
    home.mkdir(exist_ok=True)
    (home / "compose.yaml").write_text(f"name: lone\nservices: {{one: {{image: library-{image}}}}}\n")
    try:
        given = [word for variable in environment for word in ("-e", variable)]
        done = pycompose(home, "run", "--rm", "-T", *given, "one", ok=False)
        assert done.code == 1
        assert told in done.out + done.err
    finally:
        pycompose(home, "down", "-v", ok=False)
    assert_nothing_left(pycompose)
