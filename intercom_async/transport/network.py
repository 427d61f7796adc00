"""Proxies and certificate authorities, as the caller or the environment names them."""

import os
import ssl
from contextlib import suppress
from functools import lru_cache
from typing import Final
from urllib.request import getproxies, proxy_bypass

from yarl import URL

from intercom_async.errors import ClientStateError, InvalidArgumentError
from intercom_async.transport.wire import is_loopback

_CERTIFICATES: Final = "SSL_CERT_FILE"


def check_proxy(name: str, proxy: object) -> URL:
    """Return the URL of a proxy; no error shows it, because it may hold a password."""
    url = None
    with suppress(ValueError):
        url = URL(proxy) if isinstance(proxy, str) else None
    if url is None or url.scheme not in {"http", "https"} or not url.host:
        expected = 'a URL such as "http://proxy:3128" (http or https; SOCKS needs a session)'
        raise InvalidArgumentError(name, None, expected)
    return url


def proxy_for(url: URL) -> URL | None:
    """Return the proxy that HTTPS_PROXY and NO_PROXY (or the system's settings) name for a URL.

    Requests to a loopback host need none, and plain http goes nowhere else. It does not read a
    password from netrc, as aiohttp would.
    """
    host = url.host or ""
    proxies = getproxies()
    proxy = (proxies.get(url.scheme) or proxies.get("all") or "").strip()
    if not proxy or is_loopback(host) or proxy_bypass(f"{host}:{url.port}"):
        return None
    return check_proxy("HTTPS_PROXY", proxy if "://" in proxy else f"http://{proxy}")


def shown(proxy: URL) -> str:
    """Return a proxy without name and password."""
    return str(proxy.origin())


def authorities() -> str:
    """Return the file with the certificates that are trusted, for messages."""
    paths = ssl.get_default_verify_paths()
    return os.environ.get(_CERTIFICATES) or paths.cafile or paths.openssl_cafile


def tls() -> ssl.SSLContext | bool:
    """Return what to trust: the authorities of SSL_CERT_FILE and SSL_CERT_DIR, else aiohttp's.

    aiohttp reads these variables when it is imported, and does not say that a file is missing; this
    raises `ClientStateError`.
    """
    file, folder = os.environ.get(_CERTIFICATES), os.environ.get("SSL_CERT_DIR")
    if not (file or folder):
        return True
    try:
        return _context(file, folder)
    except OSError as error:  # ssl's own errors are among these
        reason = error.strerror or str(error)
        raise ClientStateError(
            f"{_CERTIFICATES} names {file}, which cannot be used: {reason}"
        ) from error


@lru_cache(maxsize=1)  # it takes 20 ms to read them
def _context(file: str | None, folder: str | None) -> ssl.SSLContext:
    del folder
    context = ssl.create_default_context()  # reads both variables
    if file:
        context.load_verify_locations(file)
    context.set_alpn_protocols(["http/1.1"])
    return context
