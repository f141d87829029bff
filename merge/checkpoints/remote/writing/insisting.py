"""What a store says when it is asked to write, and how long it is asked again."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event
from typing import TypeVar

from ....errors import MergeError
from ..filesystem_errors import explain
from ..patience import ATTEMPTS, Patience, TransientError
from ..s3_errors import answer_of

T = TypeVar("T")
_FORBIDDEN, _CONDITION, _NOT_IMPLEMENTED = 403, 412, 501
REFUSED = "the store refuses access"
_MAY_PASS = (408, 409, 425, 429)  # answers of the 400s that another try may turn


class ConditionError(MergeError):
    """What a request made a condition does not hold."""


def insist(where: str, stop: Event, action: Callable[[], T], attempts: int = ATTEMPTS) -> T:
    """Do something with a store, again while its failure may pass.

    Args:
        where: What it is about, for messages.
        stop: Set when nobody waits for it any more.
        action: What is done.
        attempts: Failures in a row that are too many.

    Raises:
        MergeError: The store refuses it, or cannot be reached for long.
    """
    patience = Patience(where, stop, attempts)
    while True:
        try:
            return action()
        except MergeError:
            raise
        except TransientError as error:
            patience.failed(error)
        except Exception as error:
            patience.failed(transient(error, where))


def transient(error: Exception, where: str) -> TransientError:
    """Return an error of a store as one that may pass.

    Raises:
        MergeError: It will not.
    """
    refused = answer_of(error)
    status = refused[0].status if refused else 0
    if status == _CONDITION:
        raise ConditionError("the store holds something else there", where=where) from None
    found = explain(error, where, known=True)
    if not isinstance(found, TransientError):
        raise _of_writing(found, status) from None
    if refused and (400 <= status < 500 or status == _NOT_IMPLEMENTED) and status not in _MAY_PASS:
        raise MergeError(f"the store refuses to write it: {error}", where=where, hint=refused[1]) from None
    return TransientError(f"cannot be written: {str(error).partition(chr(10))[0][:200] or type(error).__name__}")


def _of_writing(error: Exception, status: int) -> Exception:
    """Return an error with the hint that concerns writing, where access is refused."""
    if status != _FORBIDDEN or not isinstance(error, MergeError) or error.what != REFUSED:
        return error
    hint = "have the credentials the right to write there (s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload)?"
    return MergeError("the store refuses to write it", where=error.where, hint=hint)


def code_behind(error: Exception) -> str:
    """Return the code of the refusal behind an error, or nothing."""
    refused = answer_of(error)
    return refused[1] if refused else ""
