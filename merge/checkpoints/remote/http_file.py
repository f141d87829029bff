"""A file behind an http address, read by range requests that are repeated and continued where they break off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ...errors import MergeError
from ..checkpoint import FileIdentity
from ..files import Buffer
from .file import CHANGED, Start, identify
from .http_place import HttpPlace
from .http_redirects import reason
from .http_status import Answer, check_status
from .patience import Patience, TransientError, fill
from .shown import shown
from .version import Version, version_of

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

PART_BYTES = 2**18  # taken from the socket at once
MOST_STARTS = 256
_starts: dict[str, Start] = {}  # of files whose address names their content; a recipe may be looked at more than once
PARTIAL_CONTENT = 206
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+)")
_EXPLANATION_BYTES = 2**12  # of what comes with a refusal


class HttpFile:
    """A file behind an address.

    Args:
        url: The address.
        where: What stands for it in messages.
        headers: What is sent to the address itself, such as a token; never to another host.
        explain: Turns an answer that refuses the file into an error; None where there is no better word.
        address: Names the file and its content, where it has such a name; else address and ETag do.
        locate: Returns where it is to be had for a while, where ``url`` is no such address.
    """

    def __init__(
        self,
        url: str,
        where: str,
        *,
        headers: dict[str, str] | None = None,
        explain: Callable[[Answer], Exception | None] = lambda answer: None,
        address: str | None = None,
        locate: Callable[[], str] | None = None,
    ) -> None:
        self.url, self.where = url, where
        self._explain, self._address = explain, address
        self._place = HttpPlace(url, where, headers, locate)
        self._stop = Event()
        self._size: int | None = None
        self._versions: dict[str, Version] = {}  # by host

    def start(self, count: int) -> Start:
        """Read up to so many bytes from the beginning, and learn the size.

        Raises:
            MergeError: It is not there, or cannot be read.
        """
        known = _starts.get(self._address or "")
        if known is not None:
            self._size = known.size
            return known
        found = self._start(count)
        if self._address is not None and len(_starts) < MOST_STARTS:
            _starts[self._address] = found
        return found

    def _start(self, count: int) -> Start:
        patience, data = Patience(self.where, self._stop), bytearray()
        while self._size is None or len(data) < min(count, self._size):
            try:
                for part in self._parts(len(data), count):
                    data += part
                    patience.progressed()
            except TransientError as error:
                patience.failed(error)
        return Start(bytes(data), self._size)

    def read_into(self, start: int, buffer: Buffer) -> None:
        """Fill the buffer from this offset.

        Raises:
            MergeError: That fails for good, or the file has changed.
        """
        fill(buffer, self.where, self._stop, lambda done: self._parts(start + done, start + len(buffer)))

    def _parts(self, start: int, stop: int) -> Iterator[bytes]:
        """Yield the bytes of a range, or as many as arrive before it breaks off.

        Raises:
            TransientError: It broke off.
        """
        from urllib3.exceptions import HTTPError

        answered, host = self._place.ask({"Range": f"bytes={start}-{stop - 1}"}, known=self._size is not None)
        response = self._checked(answered)
        whole = False
        try:
            expected = self._check_range(response, host, start, stop)
            for part in response.stream(PART_BYTES, decode_content=False):
                expected -= len(part)
                self._refuse_stopped()
                if expected < 0:
                    raise MergeError("the server sends more than it says", where=self.where)
                yield part
            if expected:
                raise TransientError("the connection broke off")
            whole = True
        except HTTPError as error:
            raise TransientError(reason(error)) from None
        finally:
            response.release_conn() if whole else response.close()

    def _checked(self, response: BaseHTTPResponse) -> BaseHTTPResponse:
        """Return a response that has the range.

        Raises:
            MergeError: It refuses the file for good.
            TransientError: It may be had later.
        """
        if response.status == PARTIAL_CONTENT:
            return response
        content = _beginning(response)
        answer = Answer(response.status, dict(response.headers.items()), self._size is not None, content)
        response.close()
        raise self._explain(answer) or check_status(answer, self.where)

    def _check_range(self, response: BaseHTTPResponse, host: str, start: int, stop: int) -> int:
        """Return how many bytes come, after a look at which they are and of which version of the file."""
        found = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != start or not start <= int(found[2]) < stop:
            raise TransientError("the server sent another range than it was asked for")
        size = int(found[3])
        if self._size is None:
            self._size = size
        version = version_of(response.headers)
        known = self._versions.setdefault(host, version)
        if size != self._size or not version.agrees(known):
            raise MergeError(CHANGED, where=self.where, hint="run it again")
        self._versions[host] = known.with_more(version)
        return int(found[2]) + 1 - start

    def _refuse_stopped(self) -> None:
        if self._stop.is_set():
            raise MergeError("reading was stopped", where=self.where)

    def identity(self) -> FileIdentity:
        """Return what tells whether it is still the same file; its size must be known."""
        if self._address is not None:
            return identify(self._address, "", self._size or 0)
        version = next(iter(self._versions.values()), Version())
        known = identify(shown(self.url), version.name, self._size or 0)  # the same under a new signature
        return known._replace(name=urlsplit(self.url).path.rpartition("/")[2])

    @property
    def address(self) -> str:
        """What names the file, spelled in one way."""
        return self._address or self.url

    @property
    def doubt(self) -> str | None:
        """What cannot be told of it while it is read, in words for a note; its first bytes must have been read."""
        if self._address is not None:
            return None
        return next(iter(self._versions.values()), Version()).doubt

    def check_unchanged(self) -> None:
        """Do nothing: every answer was compared with the first."""

    def close(self) -> None:
        """Stop whatever still tries to read it."""
        self._stop.set()


def _beginning(response: BaseHTTPResponse) -> bytes:
    """Return the beginning of what comes with a refusal, or nothing where it is long or breaks off."""
    from urllib3.exceptions import HTTPError

    if response.status == 200:  # the file itself
        return b""
    try:
        return response.read(_EXPLANATION_BYTES, decode_content=False)
    except HTTPError:
        return b""
