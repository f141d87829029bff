"""Requests that follow redirects; what is secret goes to the first host alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urljoin, urlsplit

from ...errors import LostError, MergeError
from .http_client import send
from .patience import TransientError
from .shown import shown

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

REDIRECTED = (301, 302, 303, 307, 308)
_MOST = 10


class Request(NamedTuple):
    """What is asked for.

    Attributes:
        method: ``GET`` or ``HEAD``.
        url: The address that the user means.
        where: What stands for it in messages.
        secret: Headers for the address's own host, such as a token.
        headers: Headers for every host.
    """

    method: str
    url: str
    where: str
    secret: dict[str, str]
    headers: dict[str, str]


def follow(request: Request) -> tuple[BaseHTTPResponse, str]:
    """Return the answer, its content unread, and the address that gave it.

    Raises:
        TransientError: There is none, and there may be one later.
        LostError: The host cannot be reached.
        MergeError: One address leads to the next without end, or to a file or the like.
    """
    url = request.url
    for _ in range(_MOST):
        response = ask(request, url)
        if response.status not in REDIRECTED or "Location" not in response.headers:
            return response, url
        url = urljoin(url, response.headers["Location"])
        response.close()
        if urlsplit(url).scheme not in ("http", "https"):
            raise MergeError(f"leads to {shown(url)}, which is no web address", where=request.where)
    raise MergeError(f"leads from one address to another, more than {_MOST} times", where=request.where)


def ask(request: Request, url: str) -> BaseHTTPResponse:
    """Return the answer of one address, its content unread.

    Raises:
        TransientError: There is none, and there may be one later.
        LostError: The host cannot be reached.
    """
    from urllib3.exceptions import HTTPError, LocationParseError, NameResolutionError, SSLError

    secret = request.secret if host_of(url) == host_of(request.url) else {}
    try:
        return send(request.method, url, secret | request.headers)
    except (NameResolutionError, SSLError, LocationParseError) as error:
        what = f"{urlsplit(url).hostname} cannot be reached: {reason(error)}"
        raise LostError(what, where=request.where, hint=_hint(error)) from None
    except HTTPError as error:
        raise TransientError(reason(error)) from None


def _hint(error: Exception) -> str:
    text = str(error)
    if "not yet valid" in text or "has expired" in text:
        return "is the clock of this machine right?"
    if "certificate verify failed" in text:
        return "SSL_CERT_FILE names the certificates that are trusted"
    return "is the network on?"


def host_of(url: str) -> str:
    """Return scheme, host and port of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def reason(error: Exception) -> str:
    """Return in a few words what went wrong with a connection."""
    from urllib3 import exceptions

    words = {
        exceptions.NameResolutionError: "its name is not known",
        exceptions.ConnectTimeoutError: "no connection within the time",
        exceptions.ReadTimeoutError: "the server fell silent",
        exceptions.NewConnectionError: "no connection",
        exceptions.ProtocolError: "the connection broke off",
        exceptions.SSLError: f"no safe connection ({error})",
    }
    return shown(next((text for kind, text in words.items() if isinstance(error, kind)), str(error)))
