"""One repository of one registry: requests with tokens, retries with back-off, redirects, and errors that say what to do.

Distribution-spec v1.1; tokens as Docker's token authentication specifies them. Used from several worker threads.
"""

from __future__ import annotations

import email.utils
import json
import random
import threading
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode, urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError

from runtime.errors import RegistryError
from runtime.images.registry import challenge, credentials
from runtime.images.registry.credentials import Credential
from runtime.images.registry.loopback import is_loopback
from runtime.images.registry.transport import Body, Transport, finish, read_all
from runtime.record import dataclass

_TRANSIENT = (408, 429, 500, 502, 503, 504)
_STALE = (404, 409, 416)  # the registry lost track of an upload; the caller asks where to go on
_REDIRECTS = (301, 302, 303, 307, 308)
_MAX_WAIT = 60.0
_MAX_DOCUMENT = 4 << 20
_HOSTS = {"docker.io": "registry-1.docker.io"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a registry is spoken to: ``host`` is its name in references and settings, ``bases`` the URLs to try, in order."""

    host: str
    bases: tuple[str, ...]
    mirror: bool = False


def endpoints(host: str, transport: Transport, *, mirrors: bool = True) -> tuple[Endpoint, ...]:
    """The mirrors of a registry, then the registry itself."""
    found = transport.settings.of(host)
    listed = found.mirrors if mirrors else ()
    copies = tuple(Endpoint(host=urlsplit(url).netloc, bases=(url.rstrip("/"),), mirror=True) for url in listed)
    real = _HOSTS.get(host, host)
    plain = (f"http://{real}",) if found.insecure or is_loopback(host) else ()
    return (*copies, Endpoint(host=host, bases=(f"https://{real}", *plain)))


class Session:
    """Requests below ``/v2/<repository>/``. ``wait`` sleeps (seconds) and raises when the caller gave up."""

    def __init__(
        self, transport: Transport, endpoint: Endpoint, repository: str, actions: str, *,
        wait: Callable[[float], None] = time.sleep, credential: Credential | None = None
    ) -> None:  # fmt: skip
        self.transport = transport
        self.endpoint = endpoint
        self.repository = repository
        self._scopes = [f"repository:{repository}:{actions}"] if repository else []
        self._wait = wait
        self._given = credential
        self._base = endpoint.bases[0] if len(endpoint.bases) == 1 else ""
        self._authorization = ""
        self._lock = threading.Lock()

    def add_scope(self, repository: str) -> None:
        """Ask for pull rights on another repository too (cross-repository mounts)."""
        with self._lock:
            scope = f"repository:{repository}:pull"
            if scope not in self._scopes:
                self._scopes.append(scope)
                self._authorization = ""

    def url(self, path: str) -> str:
        """The URL of ``/v2/<repository>/<path>``, or of the API's root for an empty repository."""
        middle = f"{self.repository}/" if self.repository else ""
        return f"{self._base or self._probe()}/v2/{middle}{path}"

    def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: Callable[[], Body] | None = None,
        expected: tuple[int, ...] = (200,), what: str = ""
    ) -> urllib3.BaseHTTPResponse:  # fmt: skip
        """Send until it succeeds, is refused, or attempts run out; a 401 is answered with a token once. ``body`` makes a fresh body per try.

        Raises RegistryError with the registry's own words. The caller reads and releases the response.
        """
        tried, authenticated = 0, False
        while True:
            tried += 1
            try:
                response = self._follow(method, url, dict(headers or {}), body)
            except HTTPError as error:
                self._give_up_or_wait(tried, None, f"{self.endpoint.host} cannot be reached: {_short(error)}", what)
                continue
            if response.status in expected:
                return response
            if response.status == 401 and not authenticated:
                authenticated, tried = True, tried - 1
                self._answer(response)
                continue
            if response.status not in _TRANSIENT:
                raise self.refused(response, what)
            self._give_up_or_wait(tried, response, f"{self.endpoint.host} answered {response.status}", what)

    def once(
        self, method: str, url: str, headers: Mapping[str, str], body: Body, *, expected: tuple[int, ...], what: str
    ) -> urllib3.BaseHTTPResponse:  # fmt: skip
        """Send exactly once: for bodies that the caller resumes himself. Raises urllib3's HTTPError for what may pass, RegistryError otherwise."""
        response = self._follow(method, url, dict(headers), lambda: body)
        if response.status in expected:
            return response
        if response.status == 401:
            self._answer(response)
            raise HTTPError("the token expired")
        if response.status in _TRANSIENT or response.status in _STALE:
            finish(response)
            raise HTTPError(f"status {response.status}")
        raise self.refused(response, what)

    def document(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, limit: int = _MAX_DOCUMENT, what: str = ""
    ) -> tuple[bytes, Mapping[str, str]]:
        """A small body and its headers; the body is read again from the start when the connection breaks."""
        for attempt in range(1, self.transport.settings.attempts + 1):
            response = self.request(method, url, headers=headers, what=what)
            try:
                data = read_all(response, limit + 1)
            except HTTPError as error:
                self._give_up_or_wait(attempt, None, f"{self.endpoint.host} broke off: {_short(error)}", what)
                continue
            finally:
                response.release_conn()
            if len(data) > limit:
                response.close()
                raise RegistryError(
                    f"{what or url} has more than {limit} bytes",
                    hint="no real manifest or configuration is that large; this one is refused",
                )
            return data, response.headers
        raise RegistryError(f"{what or url} could not be read from {self.endpoint.host}")

    def give_up_or_wait(self, tried: int, message: str, what: str) -> None:
        """Sleep before another try, or raise RegistryError when ``tried`` tries without progress are enough."""
        self._give_up_or_wait(tried, None, message, what)

    def refused(self, response: urllib3.BaseHTTPResponse, what: str) -> RegistryError:
        """The error for an answer that will not change by asking again."""
        told = _told(response)
        subject = what or self.repository or self.endpoint.host
        match response.status:
            case 401 | 403:
                return RegistryError(
                    f"{self.endpoint.host} denies access to {subject}{told}",
                    hint=f"pycompose login {self.endpoint.host}, if the repository exists and you may use it"
                )  # fmt: skip
            case 404:
                return RegistryError(
                    f"{subject} is not found at {self.endpoint.host}{told}", hint="check the name, the tag and the registry's host"
                )
            case 429:
                return RegistryError(
                    f"{self.endpoint.host} limits how often you may pull{told}",
                    hint="wait, log in (pycompose login), or configure a mirror",
                )
            case status:
                return RegistryError(
                    f"{self.endpoint.host} answered {status} for {subject}{told}", hint="this is the registry's trouble; its log knows more"
                )

    def _probe(self) -> str:
        """The first base that speaks HTTP at all: TLS, else plain for loopback and insecure registries."""
        with self._lock:
            for base in self.endpoint.bases[:-1]:
                try:
                    self.transport.open("GET", f"{base}/v2/", {}, host=self.endpoint.host).close()
                except HTTPError:
                    continue
                self._base = base
                return base
            self._base = self.endpoint.bases[-1]
            return self._base

    def _follow(self, method: str, url: str, headers: dict[str, str], body: Callable[[], Body] | None) -> urllib3.BaseHTTPResponse:
        if self._authorization:
            headers["Authorization"] = self._authorization
        for _ in range(6):
            response = self.transport.open(method, url, headers, body() if body else None, host=self.endpoint.host)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or not location or method not in ("GET", "HEAD"):
                return response
            finish(response)
            following = urljoin(url, location)
            if (
                urlsplit(following).scheme != "https"
                and urlsplit(url).scheme == "https"
                and not self.transport.settings.of(self.endpoint.host).insecure
            ):
                raise RegistryError(
                    f"{self.endpoint.host} redirects from https to {following[:100]}", hint="refused: the way there can be listened to"
                )
            if urlsplit(following)[:2] != urlsplit(url)[:2]:
                headers.pop("Authorization", None)
            url = following
        raise RegistryError(f"{self.endpoint.host} redirects in circles", hint="this is the registry's trouble; its log knows more")

    def _give_up_or_wait(self, tried: int, response: urllib3.BaseHTTPResponse | None, message: str, what: str) -> None:
        about = f" ({what})" if what else ""
        if tried >= self.transport.settings.attempts:
            if response is not None:
                raise self.refused(response, what)
            raise RegistryError(f"{message}{about}", hint=f"tried {tried} times; is the registry up, and the network?")
        delay = min(0.2 * 2**tried, 15.0) * random.uniform(0.8, 1.2)  # jitter, not a secret
        if response is not None:
            asked = _retry_after(response)
            if asked > _MAX_WAIT:
                raise self.refused(response, what)
            finish(response)
            delay = max(delay, asked) if asked else delay
        self._wait(delay)

    def _answer(self, response: urllib3.BaseHTTPResponse) -> None:
        found = challenge.parse(", ".join(response.headers.getlist("WWW-Authenticate")))
        if found is None:
            raise self.refused(response, "")
        finish(response)
        credential = self._given or credentials.find(self.endpoint.host)
        if found.scheme == "basic":
            if credential is None:
                raise RegistryError(f"{self.endpoint.host} wants a user and password", hint=f"pycompose login {self.endpoint.host}")
            self._authorization = credential.basic
            return
        if credential is not None and credential.registry_token:
            self._authorization = f"Bearer {credential.registry_token}"
            return
        self._authorization = f"Bearer {self._token(found, credential)}"

    def _token(self, found: challenge.Challenge, credential: Credential | None) -> str:
        scopes = list(dict.fromkeys([*self._scopes, *found.scope.split()])) if self._scopes or found.scope else []
        fields = [("service", found.service)] if found.service else []
        fields += [("scope", scope) for scope in scopes]
        if credential is not None and credential.identity_token:
            return self._oauth(found, credential, scopes)
        headers = {"Authorization": credential.basic} if credential else {}
        if credential:
            fields.append(("account", credential.username))
        separator = "&" if "?" in found.realm else "?"
        return self._fetch_token("GET", f"{found.realm}{separator}{urlencode(fields)}", headers, None)

    def _oauth(self, found: challenge.Challenge, credential: Credential, scopes: list[str]) -> str:
        fields = {
            "grant_type": "refresh_token", "service": found.service, "client_id": "pycompose", "scope": " ".join(scopes),
            "refresh_token": credential.identity_token,
        }  # fmt: skip
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self._fetch_token("POST", found.realm, headers, urlencode(fields).encode())

    def _fetch_token(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> str:
        parts = urlsplit(url)
        insecure = self.transport.settings.of(self.endpoint.host).insecure or is_loopback(parts.netloc)
        if parts.scheme != "https" and not (parts.scheme == "http" and insecure):
            raise RegistryError(
                f"{self.endpoint.host} names an authorization server without TLS: {url[:100]}",
                hint="refused: your password would be readable on its way",
            )
        for attempt in range(1, self.transport.settings.attempts + 1):
            try:
                response = self.transport.open(method, url, headers, body, host=self.endpoint.host)
                data = read_all(response, _MAX_DOCUMENT)
            except HTTPError as error:
                self._give_up_or_wait(attempt, None, f"the authorization server {parts.netloc} cannot be reached: {_short(error)}", "")
                continue
            if response.status in _TRANSIENT:
                self._give_up_or_wait(attempt, response, f"the authorization server {parts.netloc} answered {response.status}", "")
                continue
            if response.status != 200:
                raise RegistryError(
                    f"{parts.netloc} gives no token for {self.endpoint.host} (status {response.status})",
                    hint=f"wrong user or password? pycompose login {self.endpoint.host}"
                )  # fmt: skip
            return _token_in(data, parts.netloc)
        raise RegistryError(f"the authorization server {parts.netloc} gives no token")


def _token_in(data: bytes, host: str) -> str:
    try:
        found = json.loads(data)
        token = found.get("token") or found.get("access_token")
    except (ValueError, AttributeError):
        token = None
    if not isinstance(token, str) or not token:
        raise RegistryError(f"{host} answered without a token")
    return token


def _retry_after(response: urllib3.BaseHTTPResponse) -> float:
    """Seconds (RFC 9110, 10.2.3): a number of them or a date; 0.0 when it names neither."""
    text = response.headers.get("Retry-After", "").strip()
    try:
        return float(text) if text.isdecimal() else max(email.utils.parsedate_to_datetime(text).timestamp() - time.time(), 0.0)
    except (ValueError, OverflowError):
        return 0.0


def _told(response: urllib3.BaseHTTPResponse) -> str:
    """What the registry says itself (distribution-spec: errors[].message), in brackets."""
    try:
        errors = json.loads(response.read(65536) or b"{}").get("errors")
        said = "; ".join(str(e.get("message") or e.get("code")) for e in errors)[:300]
    except (ValueError, AttributeError, TypeError, HTTPError):
        said = ""
    finally:
        finish(response)
    return f" ({said})" if said else ""


def _short(error: BaseException) -> str:
    text = str(error)
    return text.rpartition("object at 0x")[2].partition(">: ")[2] or text[:200] if "object at 0x" in text else text[:200]
