"""Calls of huggingface_hub: quiet, tried again where the hub is busy, and with errors in plain words."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event
from typing import Any, TypeVar

from ...errors import MergeError, UsageError, some_of, suggest
from .http_status import Answer, check_status
from .patience import Patience, TransientError
from .reference import HubReference

Outcome = TypeVar("Outcome")
_LIBRARIES = ("httpx2", "httpx", "httpcore2", "httpcore", "requests", "urllib3")  # that it sends requests with
_PASSING = ("ReadTimeout", "ReadError", "Protocol", "ChunkedEncoding")  # names of errors in mid-talk


class UnreachableError(Exception):
    """There is no network, or it must not be used."""


@contextmanager
def quiet_hub(*, bars: bool = False) -> Iterator[None]:
    """Hold back its remarks, what matters of them is raised; its bars too, unless they are wanted on a terminal."""
    from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    notes = logging.getLogger("huggingface_hub")
    level, hidden = notes.level, not (bars and sys.stderr.isatty()) and not are_progress_bars_disabled()
    notes.setLevel(logging.CRITICAL)
    if hidden:
        disable_progress_bars()
    try:
        yield
    finally:
        notes.setLevel(level)
        if hidden:
            enable_progress_bars()


def call_hub(work: Callable[[], Outcome], reference: HubReference, where: str, *, bars: bool = False) -> Outcome:
    """Return what a call of huggingface_hub returns.

    Args:
        work: The call.
        reference: What it is about.
        where: What the user wrote.
        bars: Whether to show on a terminal how far a download is.

    Raises:
        MergeError: The hub refuses.
        UnreachableError: It cannot be reached.
    """
    from huggingface_hub.errors import OfflineModeIsEnabled

    patience = Patience(where, Event())
    while True:
        try:
            with quiet_hub(bars=bars):
                return work()
        except OfflineModeIsEnabled:
            raise UnreachableError("offline") from None
        except Exception as error:
            found = explain(error, reference, where)
            if not isinstance(found, TransientError):
                raise found from None
            patience.failed(found)


def explain(error: Exception, reference: HubReference, where: str) -> Exception:
    """Return what an error of huggingface_hub amounts to.

    Returns:
        A MergeError; a TransientError where it may pass; an UnreachableError without a network.
    """
    # For a single file the library may say no more than that it is not there; the cause knows better.
    responses = [getattr(one, "response", None) for one in (error, error.__cause__)]
    response = next((one for one in responses if one is not None), None)
    if response is not None:
        answer = Answer(response.status_code, response.headers)
        return explain_answer(answer, reference, where) or _refusal(answer, where)
    if type(error).__module__.partition(".")[0] in _LIBRARIES or isinstance(error, OSError):
        reason = str(error).partition("\n")[0] or type(error).__name__
        passes = any(word in type(error).__name__ for word in _PASSING)
        return TransientError(f"the hub does not answer: {reason}") if passes else UnreachableError(reason)
    if isinstance(error, ValueError):  # huggingface_hub checks names before it asks
        return UsageError("no valid id of the hub", where=where, hint="an id is org/name, or org/name@revision")
    return error


def explain_answer(answer: Answer, reference: HubReference, where: str) -> MergeError | None:
    """Return the error that the hub's own code in an answer names, or None where there is no such code."""
    from huggingface_hub.constants import ENDPOINT

    code, status = answer.header("X-Error-Code"), answer.status
    if code == "GatedRepo":
        hint = f"ask for access at {ENDPOINT}/{reference.repository}, then set HF_TOKEN"
        return MergeError("this model is gated", where=where, hint=hint)
    if code == "RevisionNotFound":
        what = f"the hub has this model, but no revision '{reference.revision}'"
        return UsageError(what, where=where, hint=_known_revisions(reference))
    if status == 401 and "Invalid credentials" in (answer.header("X-Error-Message") or ""):
        return MergeError("the hub does not accept the token", where=where, hint="check HF_TOKEN, or log in anew")
    if code == "RepoNotFound" or (status in (401, 404) and code != "EntryNotFound" and not answer.known):
        hint = "check the spelling; a private model needs HF_TOKEN"
        return UsageError("the hub has no such model, and there is no such local path", where=where, hint=hint)
    if status == 403:
        return MergeError("the hub refuses access to this model", where=where, hint="check the rights of HF_TOKEN")
    return None


def _refusal(answer: Answer, where: str) -> Exception:
    found = check_status(answer, where)
    if isinstance(found, TransientError) and answer.status == 429:
        return TransientError("the hub limits the rate of requests; HF_TOKEN raises the limit", found.wait)
    return found


def _known_revisions(reference: HubReference) -> str | None:
    """Return a hint at revisions that there are."""
    from huggingface_hub import HfApi

    try:
        refs: Any = HfApi().list_repo_refs(reference.repository)
    except Exception:  # whatever the library raises; this is only a hint
        return None
    names = [found.name for found in (*refs.branches, *refs.tags)]
    return suggest(reference.revision, names) or (f"there are {some_of(names, 8)}" if names else None)
