"""Where a file behind an address is to be had: where redirects lead, or an address that is signed for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ...errors import LostError
from .http_redirects import REDIRECTED, Request, ask, follow, host_of
from .patience import TransientError

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_EXPIRED = (400, 401, 403, 404, 410)  # answers of a store to an address that was signed for a while


class HttpPlace:
    """Finds a file, and remembers where.

    Args:
        url: The address that stands for it.
        where: What stands for it in messages.
        secret: What is sent to the address itself, such as a token; never to another host.
        locate: Returns where it is to be had for a while, where ``url`` is no such address.
    """

    def __init__(
        self, url: str, where: str, secret: dict[str, str] | None = None, locate: Callable[[], str] | None = None
    ) -> None:
        self._url, self._where, self._secret = url, where, secret or {}
        self._locate = locate or (lambda: url)
        self._found: str | None = None

    def ask(self, headers: dict[str, str], *, known: bool) -> tuple[BaseHTTPResponse, str]:
        """Ask for the file where it was found before, or anew where that no longer answers.

        Args:
            headers: For every host.
            known: Whether it answered before, so that a network that is gone may come back.

        Returns:
            The answer, whatever it says, and the host.

        Raises:
            TransientError: There is none, and there may be one later.
            LostError: The host cannot be reached.
        """
        request = Request("GET", self._url, self._where, self._secret, headers)
        try:
            return self._ask(request)
        except LostError as error:
            if not known:
                raise
            raise TransientError(error.what) from None

    def _ask(self, request: Request) -> tuple[BaseHTTPResponse, str]:
        url = self._found  # another thread may set it meanwhile
        if url is not None:
            response = ask(request, url)
            if response.status not in (*_EXPIRED, *REDIRECTED):
                return response, host_of(url)
            response.close()
        response, url = follow(request._replace(url=self._locate()))
        self._found = url
        return response, host_of(url)
