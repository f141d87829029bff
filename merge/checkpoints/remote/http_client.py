"""One pool of connections for the whole process, with the proxies and certificates that the environment names."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

CONNECT_SECONDS, SILENT_SECONDS = 10.0, 30.0
CONNECTIONS = 32  # kept open per host


def send(method: str, url: str, headers: dict[str, str]) -> BaseHTTPResponse:
    """Send a request and return the response, its content unread; redirects are not followed.

    Raises:
        urllib3.exceptions.HTTPError: It cannot be sent, or there is no answer.
    """
    from urllib3 import Timeout

    return _manager_for(url).request(
        method,
        url,
        headers={"Accept-Encoding": "identity"} | headers,
        preload_content=False,
        redirect=False,
        retries=False,
        timeout=Timeout(connect=CONNECT_SECONDS, read=SILENT_SECONDS),
    )


def _manager_for(url: str) -> PoolManager:
    parts = urlsplit(url)
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    bypassed = proxy is None or not parts.hostname or proxy_bypass(parts.hostname)
    return _manager(None if bypassed else proxy, os.getpid())


@cache
def _manager(proxy: str | None, process: int) -> PoolManager:
    """Return the pool of this process; a child must not use the connections of its parent."""
    from urllib3 import PoolManager, ProxyManager

    trusted = certificates()
    if proxy is None:
        return PoolManager(maxsize=CONNECTIONS, ca_certs=trusted)
    return ProxyManager(proxy, maxsize=CONNECTIONS, ca_certs=trusted)


def certificates() -> str | None:
    """Return the file of trusted certificates: the environment's, else certifi's, else the system's (None)."""
    for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        if path := os.environ.get(variable):
            return path
    try:
        import certifi
    except ImportError:
        return None
    return certifi.where()
