"""HTTP by urllib3: one pool per way to a host (TLS, proxy), no redirects and no retries of its own: ``session`` decides those."""

from __future__ import annotations

import ssl
import threading
import urllib.request
from collections.abc import Iterable, Mapping
from urllib.parse import unquote, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from runtime.errors import RegistryError
from runtime.images.registry.loopback import is_loopback
from runtime.images.registry.settings import RegistrySettings, Settings

Body = bytes | Iterable[bytes] | None
_AGENT = "pycompose"
_SHORT = 64 << 10


class Transport:
    """Opens requests; may be used from several threads."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._pools: dict[tuple[str, str, bool], urllib3.PoolManager] = {}
        self._lock = threading.Lock()

    def open(self, method: str, url: str, headers: Mapping[str, str], body: Body = None, *, host: str = "") -> urllib3.BaseHTTPResponse:
        """Send one request and return when the headers are in. ``host`` names the registry whose settings count (default: the URL's).

        Raises urllib3's HTTPError when nothing (more) comes, RegistryError for a certificate that nobody vouches for.
        """
        parts = urlsplit(url)
        found = self.settings.of(host or parts.netloc)
        pool = self._pool(parts.scheme, parts.netloc, found)
        timeout = urllib3.Timeout(connect=min(self.settings.timeout, 10.0), read=self.settings.timeout)
        try:
            return pool.request(
                method, url, headers={"User-Agent": _AGENT, **headers}, body=body, redirect=False, retries=False, timeout=timeout,
                preload_content=False, decode_content=False, assert_same_host=False,
            )  # fmt: skip
        except HTTPError as error:
            if _is_certificate(error):
                raise RegistryError(
                    f"the certificate of {parts.netloc} is not trusted: {_reason(error)}",
                    hint=f'name its CA in registries.toml: [registry."{host or parts.netloc}"] ca = "/path/ca.pem"',
                ) from None
            raise

    def close(self) -> None:
        """Close every connection."""
        with self._lock:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()

    def _pool(self, scheme: str, netloc: str, found: RegistrySettings) -> urllib3.PoolManager:
        proxy = _proxy(scheme, netloc)
        key = (proxy, f"{found.ca}|{found.client_cert}|{found.client_key}", found.insecure)
        with self._lock:
            pool = self._pools.get(key)
            if pool is None:
                pool = self._pools[key] = self._new_pool(proxy, found)
            return pool

    def _new_pool(self, proxy: str, found: RegistrySettings) -> urllib3.PoolManager:
        context = _context(found)
        if not proxy:
            return urllib3.PoolManager(num_pools=16, maxsize=8, ssl_context=context)
        parts = urlsplit(proxy)
        headers = {}
        if parts.username:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers = urllib3.make_headers(proxy_basic_auth=secret)
        return urllib3.ProxyManager(proxy, num_pools=16, maxsize=8, ssl_context=context, proxy_headers=headers)


def finish(response: urllib3.BaseHTTPResponse) -> None:
    """Be done with a response: a short rest is read so that the connection can be used again, a long one costs it."""
    try:
        if len(response.read(_SHORT)) == _SHORT:
            response.close()
    except HTTPError:
        response.close()
    response.release_conn()


def read_all(response: urllib3.BaseHTTPResponse, limit: int) -> bytes:
    """The body, no more than ``limit`` bytes of it. Raises HTTPError when the connection breaks first (only the read after the last bytes tells)."""
    parts, left = [], limit
    while left > 0 and (data := response.read(left)):
        parts.append(data)
        left -= len(data)
    return b"".join(parts)


def _context(found: RegistrySettings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    try:
        if found.ca:
            context.load_verify_locations(found.ca)
        if found.client_cert:
            context.load_cert_chain(found.client_cert, found.client_key or None)
    except (OSError, ssl.SSLError) as error:
        raise RegistryError(
            f"{found.ca or found.client_cert}: {error}", hint="registries.toml or /etc/docker/certs.d names a PEM file that cannot be read"
        ) from None
    if found.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _proxy(scheme: str, netloc: str) -> str:
    """The proxy of the usual environment variables (http_proxy, https_proxy, no_proxy); none for loopback, as everywhere."""
    host = netloc.rpartition("@")[2]
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return ""
    proxy = urllib.request.getproxies().get(scheme, "")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _is_certificate(error: BaseException) -> bool:
    return isinstance(error, SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error)


def _reason(error: BaseException) -> str:
    text = str(error)
    return text.partition("certificate verify failed:")[2].partition("(")[0].strip() or text[:200]
