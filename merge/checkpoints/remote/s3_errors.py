"""What the codes of S3's refusals mean, in one line each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from ...errors import LostError, MergeError, UsageError
from .http_status import Answer
from .patience import TransientError

EXPIRED = ("ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired")
ANONYMOUS = """FSSPEC_S3='{"anon": true}'"""
_CODE = re.compile(rb"<Code>([^<]+)</Code>")
_REGION = re.compile(rb"<Region>([^<]+)</Region>")
_MOST_SKEW = 14 * 60  # seconds; stores refuse requests that are 15 minutes off
_SKEWED = ("RequestTimeTooSkewed", "RequestExpired", "RequestInTheFuture")
_ELSEWHERE = ("PermanentRedirect", "TemporaryRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraint")
_PASSING = ("RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "OperationAborted", "Busy")
_REFUSED = {
    "InvalidAccessKeyId": ("the store does not know this access key", "check AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL"),
    "SignatureDoesNotMatch": ("the secret key does not belong to the access key", "check AWS_SECRET_ACCESS_KEY"),
    "InvalidToken": ("the store does not accept the session token", "check AWS_SESSION_TOKEN, or log in anew"),
    "InvalidObjectState": ("the object lies in an archive", "restore it first"),
    "AllAccessDisabled": ("the store has closed this bucket", "its owner or the store's support may know why"),
}


def code_of(content: bytes) -> str:
    """Return the code in the XML of a refusal, or nothing."""
    found = _CODE.search(content)
    return found[1].decode(errors="replace") if found else ""


def answer_of(error: BaseException | None) -> tuple[Answer, str] | None:
    """Return the refusal behind an error of botocore or s3fs, and its code; None where there is none."""
    for one in (error, getattr(error, "__cause__", None), getattr(error, "__context__", None)):
        response = getattr(one, "response", None)
        if isinstance(response, dict) and "Error" in response:
            about: Mapping[str, Any] = response.get("ResponseMetadata", {})
            answer = Answer(int(about.get("HTTPStatusCode", 0)), about.get("HTTPHeaders", {}))
            return answer, str(response["Error"].get("Code", ""))
    return None


def explain_code(answer: Answer, code: str, where: str) -> Exception | None:
    """Return the error that a refusal of S3 amounts to, or None where its status says all.

    Args:
        answer: The refusal.
        code: Its code, such as ``AccessDenied``.
        where: What was asked for.
    """
    if code in _PASSING:
        return TransientError(f"the store answers {code}")
    if code == "NoSuchBucket":
        return UsageError("there is no such bucket", where=where, hint="check the spelling and the region")
    if code in _ELSEWHERE:
        return MergeError("the bucket lies in another region", where=where, hint=_region(answer))
    if answer.status in (400, 401, 403):
        return _refusal(answer, code, where)
    return None


def _refusal(answer: Answer, code: str, where: str) -> MergeError | None:
    if wrong := _wrong_clock(answer, code):
        hint = "set the clock; stores refuse requests that are 15 minutes off"
        return MergeError(wrong, where=where, hint=hint)
    if code in EXPIRED:  # what is done already can be kept until they are renewed
        return LostError("the credentials have expired; renew them", where=where)
    if code in _REFUSED:
        what, hint = _REFUSED[code]
        return MergeError(what, where=where, hint=hint)
    if answer.status != 403:
        return None
    hint = f"have the credentials the right to read it (s3:GetObject)? For public data set {ANONYMOUS}"
    return MergeError("the store refuses access", where=where, hint=hint)


def _wrong_clock(answer: Answer, code: str) -> str | None:
    """Return how wrong the clock of this machine is, where that is why the store refuses."""
    try:
        ahead = time() - parsedate_to_datetime(answer.header("Date") or "").timestamp()
    except ValueError:
        ahead = 0.0
    if abs(ahead) < _MOST_SKEW:
        return "the store takes the clock of this machine to be wrong" if code in _SKEWED else None
    minutes = round(abs(ahead) / 60)
    return f"the clock of this machine is {minutes} minutes {'ahead of' if ahead > 0 else 'behind'} the store's"


def _region(answer: Answer) -> str:
    found = _REGION.search(answer.content)
    region = answer.header("x-amz-bucket-region") or (found[1].decode() if found else "its region")
    return f"set AWS_DEFAULT_REGION={region}" if region != "its region" else "set AWS_DEFAULT_REGION to its region"
