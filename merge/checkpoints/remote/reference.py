"""What a location that is no local path means: a repository of the hub, or a URL."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote

from ..folders import PICKLE_SUFFIXES

_NAME = r"[A-Za-z0-9][\w.-]*"
_HUB_ID = re.compile(rf"({_NAME}/[\w.-]+)(?:@([\w./-]+))?")
_PREFIXED = re.compile(rf"(?:hf|hub):(?!//)({_NAME}(?:/[\w.-]+)?)(?:@([\w./-]+))?")
_HUB_URL = re.compile(rf"hf://(?:models/)?({_NAME}/[\w.-]+)(?:@([\w.%-]+))?(?:/(.*))?")
_PAGE = re.compile(rf"({_NAME}/[\w.-]+?)/?(?:/(?:tree|resolve|blob)/([\w.%-]+)(?:/([^?#]*))?)?(?:[?#].*)?")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(::|://)")
SAFETENSORS_SUFFIXES = (".safetensors", ".st")
WEIGHTS_SUFFIXES = (*SAFETENSORS_SUFFIXES, *PICKLE_SUFFIXES)


class HubReference(NamedTuple):
    """A repository of the hub, or a folder or file within.

    Attributes:
        repository: ``org/name``.
        revision: Branch, tag or commit; None for the default branch.
        path: Within the repository; empty for all of it.
    """

    repository: str
    revision: str | None
    path: str = ""


def is_url(location: str) -> bool:
    """Tell whether a location begins as a URL does, ``s3://`` or ``https://``."""
    return _URL.match(location) is not None


def is_marked(location: str) -> bool:
    """Tell whether a location says of itself that it is no local path: a URL, or ``hf:`` in front."""
    return is_url(location) or location.startswith(("hf:", "hub:"))


def is_remote(location: str) -> bool:
    """Tell whether a location of which no local path exists reads like a URL or an id of the hub."""
    return is_url(location) or hub_reference(location) is not None


def hub_reference(location: str) -> HubReference | None:
    """Return what a location names on the hub, or None where it names nothing there.

    Args:
        location: ``org/name``, ``org/name@revision``, the same after ``hf:``, or ``hf://org/name@revision/path``.
    """
    if found := _HUB_URL.fullmatch(location):
        return HubReference(found[1], unquote(found[2]) if found[2] else None, (found[3] or "").strip("/"))
    found = _PREFIXED.fullmatch(location) or _HUB_ID.fullmatch(location)
    if found is None or found[1].endswith(WEIGHTS_SUFFIXES):  # a misspelt path of a file
        return None
    return HubReference(found[1], found[2])


def hub_page(url: str, endpoint: str) -> HubReference | None:
    """Return what the address of a page or file of the hub names, or None for another address."""
    if not url.startswith(f"{endpoint}/"):
        return None
    found = _PAGE.fullmatch(url.removeprefix(f"{endpoint}/"))
    if found is None or found[1].endswith(WEIGHTS_SUFFIXES):  # a file beside the models
        return None
    return HubReference(found[1], unquote(found[2]) if found[2] else None, unquote(found[3] or "").strip("/"))
