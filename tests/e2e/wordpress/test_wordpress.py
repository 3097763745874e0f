"""WordPress with MariaDB, as a person would: installed through its web form in a browser, a post published, found again after down and up."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.e2e.conftest import ROOT, CommandLine, assert_nothing_left

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(1500)]
HOST = "http://127.0.0.1:8080"


@pytest.fixture(scope="module")
def built(pycompose: CommandLine, debian: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, its images built; the build needs the package mirror, what follows needs no uplink."""
    directory = tmp_path_factory.mktemp("e2e") / "wordpress"
    shutil.copytree(ROOT / "examples/wordpress", directory)
    pycompose(directory, "build", timeout=1200)
    return directory


@pytest.fixture
def running(pycompose: CommandLine, built: Path, private_network: None) -> Iterator[Path]:
    try:
        (built / "compose.override.yaml").write_text("services: {wordpress: {environment: {WORDPRESS_BLOCK_EXTERNAL: '1'}}}\n")
        pycompose(built, "up", "-d", "--wait", "--wait-timeout", "180")
        yield built
    finally:
        print(pycompose(built, "logs", "--timestamps", ok=False).out)  # shown when the test fails
        pycompose(built, "down", "-v", ok=False)
    assert_nothing_left(pycompose)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = "/usr/bin/chromium"
    quiet = "--disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
    for argument in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--window-size=1200,1400",
        f"--user-data-dir={tmp_path}/profile",
        *quiet.split(),
    ):
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService("/usr/bin/chromedriver"))
    driver.set_page_load_timeout(60)
    yield driver
    driver.quit()


def fetch(path: str) -> str:
    """What the site answers; an error's page goes with the error, as it says what was wrong (most often: no database)."""
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(HOST + path, timeout=30) as answer:
            return str(answer.read().decode())
    except urllib.error.HTTPError as error:
        error.add_note(error.read().decode(errors="replace")[:2000])
        raise


def test_installed_in_a_browser_and_found_again(pycompose: CommandLine, running: Path, browser: webdriver.Chrome) -> None:
    browser.get(f"{HOST}/wp-admin/install.php")
    if browser.find_elements(By.ID, "language"):
        browser.find_element(By.ID, "language-continue").click()
    wait = WebDriverWait(browser, 30)
    wait.until(lambda b: b.find_elements(By.ID, "weblog_title"))
    browser.find_element(By.ID, "weblog_title").send_keys("Without Docker")
    browser.find_element(By.ID, "user_login").send_keys("admin")
    password = browser.find_element(By.ID, "pass1")
    browser.execute_script("arguments[0].value = 'correct horse battery staple'", password)
    browser.execute_script("document.getElementById('pass2') && (document.getElementById('pass2').value = 'correct horse battery staple')")
    browser.find_element(By.ID, "admin_email").send_keys("admin@example.com")
    browser.find_element(By.ID, "submit").click()
    wait.until(lambda b: "Success" in b.page_source)

    publish_by_form(browser, wait, "The first post", "It runs on an engine of its own.")
    assert "The first post" in fetch("/")

    pycompose(running, "down")
    pycompose(running, "up", "-d", "--wait", "--wait-timeout", "120")
    assert "The first post" in fetch("/")
    assert "Without Docker" in fetch("/")

    database_comes_back(pycompose, running)
    scales(pycompose, running)


def publish_by_form(browser: webdriver.Chrome, wait: WebDriverWait[webdriver.Chrome], title: str, text: str) -> None:
    """Log in and publish through the quick draft's editor page's REST door, as the editor itself does."""
    browser.get(f"{HOST}/wp-login.php")
    wait.until(lambda b: b.find_elements(By.ID, "user_login"))
    browser.find_element(By.ID, "user_login").send_keys("admin")
    browser.find_element(By.ID, "user_pass").send_keys("correct horse battery staple")
    browser.find_element(By.ID, "wp-submit").click()
    wait.until(lambda b: "wp-admin" in b.current_url and b.find_elements(By.ID, "wpadminbar"))
    browser.get(f"{HOST}/wp-admin/post-new.php")
    wait.until(
        lambda b: b.execute_script(
            "return !!(window.wp && wp.data && wp.data.select('core/editor') && wp.data.select('core/editor').getCurrentPostId())"
        )
    )
    browser.execute_script(
        "const editor = wp.data.dispatch('core/editor');"
        "editor.editPost({title: arguments[0], content: arguments[1], status: 'publish'}); editor.savePost();",
        title,
        text,
    )
    # "The last save did not fail" holds before the first one has ended as well; "published" is said of what the server has answered.
    wait.until(
        lambda b: b.execute_script(
            "const editor = wp.data.select('core/editor'); return !editor.isSavingPost() && editor.isCurrentPostPublished();"
        )
    )


def database_comes_back(pycompose: CommandLine, directory: Path) -> None:
    pycompose(directory, "exec", "-T", "db", "sh", "-c", "kill -9 $(pidof mariadbd) || kill -9 1", ok=False)
    pycompose(directory, "kill", "-s", "SIGKILL", "wordpress")
    pycompose(directory, "up", "-d", "--wait", "--wait-timeout", "120")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if "The first post" in fetch("/"):
                return
        except OSError:
            pass
        time.sleep(0.5)
    raise AssertionError("the site did not come back")


def scales(pycompose: CommandLine, directory: Path) -> None:
    """Three web servers: the port of the file is one, so the others take random ones through an override."""
    (directory / "compose.override.yaml").write_text(
        "services: {wordpress: {ports: !override ['80'], environment: {WORDPRESS_BLOCK_EXTERNAL: '1'}}}\n"
    )
    pycompose(directory, "up", "-d", "--wait", "--scale", "wordpress=3", "--wait-timeout", "120")
    ports = {pycompose(directory, "port", "--index", str(n), "wordpress", "80").out.strip().rpartition(":")[2] for n in (1, 2, 3)}
    assert len(ports) == 3
    for port in ports:
        done = subprocess.run(
            [
                "curl",
                "--noproxy",
                "*",
                "-sSL",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                f"http://127.0.0.1:{port}/wp-includes/images/blank.gif",
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout == "200", done
