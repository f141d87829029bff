"""Asks the hub to take something, with its refusals in plain words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ..checkpoints.remote.hub_calls import UnreachableError, explain, quiet_hub
from ..checkpoints.remote.patience import TransientError
from ..checkpoints.remote.reference import HubReference
from ..errors import LostError, MergeError, UsageError

T = TypeVar("T")
_AGAIN = "push again; what was sent already is not sent twice"
_REFUSALS: dict[int, tuple[type[MergeError], str, str]] = {
    401: (MergeError, "the hub does not accept the token", "check HF_TOKEN, or log in anew: hf auth login"),
    403: (MergeError, "the token may not write there", "give it the right to write, and see who may write to it"),
    404: (UsageError, "the hub knows no such place", "check the spelling; a private one needs a token that may see it"),
}


def ask(work: Callable[[], T], repository: str, *, bars: bool = False) -> T:
    """Return what a call of huggingface_hub returns.

    Args:
        work: The call.
        repository: What it is about.
        bars: Whether to show on a terminal how far it is.

    Raises:
        MergeError: The hub refuses, or cannot be reached.
    """
    try:
        with quiet_hub(bars=bars):
            return work()
    except Exception as error:
        raise _explained(error, repository) from None


def _explained(error: Exception, repository: str) -> Exception:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None)
    if status in _REFUSALS:
        kind, what, hint = _REFUSALS[status]
        return kind(what, where=repository, hint=hint)
    if status is not None and 400 <= status < 500 and status not in (408, 429):
        said = getattr(error, "server_message", None) or str(error).strip().partition("\n")[0]
        return MergeError(f"the hub refuses: {said}", where=repository)
    found = explain(error, HubReference(repository, None), repository)
    if isinstance(found, TransientError):
        return LostError(found.reason, where=repository, hint=_AGAIN)
    if isinstance(found, UnreachableError):
        return MergeError(f"the hub cannot be reached: {found}", where=repository, hint=_AGAIN)
    return found
