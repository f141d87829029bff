"""Folders behind an http address. A web server lists nothing, so files are looked for by their usual names."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from ...errors import MergeError
from ..companions import CARD
from ..components.declared import MODULES, PIPELINE, SCHEDULER
from ..folders import INDEX_SUFFIX
from ..shards import read_weight_map
from .file import RemoteFile
from .http_file import HttpFile
from .http_redirects import Request, follow, reason
from .http_status import Answer, check_status
from .patience import Patience, TransientError
from .requests import map_side_by_side
from .shown import shown
from .store import FetchingStore, check_small
from .web_user import split_user

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse

_STEMS = ("model", "diffusion_pytorch_model")
_WEIGHTS = tuple((f"{stem}{INDEX_SUFFIX}", f"{stem}.safetensors") for stem in _STEMS)
_BESIDE = (
    CARD,
    PIPELINE,
    MODULES,
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "spiece.model",
    "chat_template.jinja",
    "preprocessor_config.json",
    "processor_config.json",
    "open_clip_config.json",
    "config_sentence_transformers.json",
    "sentence_bert_config.json",
    "LICENSE",
)


class WebFolder(FetchingStore):
    """A folder behind an address.

    Attributes:
        looked_for: The names of weights by which it is told.
    """

    looked_for = (*_WEIGHTS[0], PIPELINE)
    folders = None  # nothing lists them

    def __init__(self, url: str) -> None:
        self._is_within = False
        self.where, self.origin = shown(url), None
        self.notes: list[str] = []
        plain, self._secret = split_user(url)
        self._url = plain if plain.endswith("/") else f"{plain}/"
        self._copies: dict[str, Path] = {}

    @cached_property
    def names(self) -> Sequence[str]:
        """The files that were found."""
        weights = self._weights
        return [*weights, *self._beside] if weights or self._is_within or self._exists(PIPELINE) else []

    @cached_property
    def _weights(self) -> list[str]:
        for index, whole in _WEIGHTS if self._is_within else _WEIGHTS[:1]:
            if self._exists(index):
                return [index, *sorted(set(read_weight_map(self.fetch([index]) / index).values()))]
            if self._exists(whole):
                return [whole]
        return []

    @cached_property
    def _beside(self) -> list[str]:
        names = (*_BESIDE, SCHEDULER) if self._is_within else _BESIDE
        found = map_side_by_side(self._exists, names)
        return [name for name, exists in zip(names, found, strict=True) if exists]

    def within(self, folder: str) -> WebFolder:
        """Return a folder in it."""
        parts = urlsplit(self._url)
        found = WebFolder(urlunsplit(parts._replace(path=f"{parts.path}{quote(folder)}")))
        found._secret, found._is_within, found.where = self._secret, True, f"{self.where.rstrip('/')}/{folder}"
        return found

    def file(self, name: str) -> RemoteFile:
        """Return one of its files."""
        return HttpFile(self._address(name), self._address(name), headers=self._secret)

    def _address(self, name: str) -> str:
        return urljoin(self._url, quote(name))

    def _exists(self, name: str) -> bool:
        return self._persist("HEAD", self._address(name)).status == 200

    def _content(self, name: str) -> bytes:
        address = self._address(name)
        answer = self._persist("GET", address)
        if answer.status != 200:
            found = check_status(answer, address)
            raise found if isinstance(found, MergeError) else MergeError(str(found), where=address)
        return answer.content

    def _persist(self, method: str, address: str) -> Answer:
        """Return the answer with its whole content, after further tries where the server is busy.

        Raises:
            MergeError: There is none, or it has no end.
        """
        patience = Patience(address, Event())
        while True:
            try:
                return self._ask(method, address)
            except TransientError as error:
                patience.failed(error)

    def _ask(self, method: str, address: str) -> Answer:
        response = follow(Request(method, address, address, self._secret, {}))[0]
        answer = Answer(response.status, dict(response.headers.items()), content=_content_of(response, address))
        found = check_status(answer, address)
        if answer.status != 200 and isinstance(found, TransientError):
            raise found
        return answer


def _content_of(response: BaseHTTPResponse, address: str) -> bytes:
    """Return what comes with an answer. Raises MergeError for far too much, TransientError where it breaks off."""
    from urllib3.exceptions import HTTPError

    content = bytearray()
    try:
        for part in response.stream(decode_content=False):
            content += part
            check_small(len(content), address)
    except HTTPError as error:
        raise TransientError(reason(error)) from None
    finally:
        response.close()
    return bytes(content)
