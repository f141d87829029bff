"""What the errors of fsspec and of the libraries beneath mean, in one line each."""

from __future__ import annotations

from ...errors import MergeError, UsageError, suggest
from .patience import TransientError
from .s3_errors import ANONYMOUS, answer_of, explain_code
from .shown import shown

_EXTRAS = {"s3": "s3", "s3a": "s3"}
_S3 = ("s3", "s3a")


def explain_protocol(error: Exception, location: str, protocol: str) -> UsageError:
    """Return the error for a URL that fsspec cannot open."""
    from fsspec.registry import known_implementations

    if isinstance(error, ImportError):
        if protocol in _EXTRAS:
            install = f"pip install 'merge-checkpoints[{_EXTRAS[protocol]}]'"
        else:
            install = str(known_implementations.get(protocol, {}).get("err", error)).partition("\n")[0]
        return UsageError(f"a package that reads {protocol}:// is missing", where=location, hint=install)
    if protocol not in known_implementations:
        what = f"there is nothing that reads {protocol}://"
        return UsageError(what, where=location, hint=suggest(protocol, known_implementations))
    return UsageError(f"this is no address that can be read: {_first_line(error)}", where=location)


def explain(error: Exception, where: str, *, known: bool = False) -> Exception:
    """Return the error that an exception amounts to.

    Args:
        error: Of fsspec or a library beneath.
        where: What was asked for.
        known: Whether the file answered before, so that other failures may pass.

    Returns:
        A MergeError, or a TransientError where ``known`` and it may pass.
    """
    name = type(error).__name__
    if "Credential" in name or "NoAuth" in name:
        hint = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or AWS_PROFILE; for public data set " + ANONYMOUS
        is_s3 = where.startswith(tuple(f"{each}://" for each in _S3))
        return MergeError("there are no credentials for this store", where=where, hint=hint if is_s3 else None)
    refused = answer_of(error)
    found = explain_code(*refused, where) if refused else None
    if found is not None and (known or not isinstance(found, TransientError)):
        return found
    return _plainly(error, where, known=known)


def _plainly(error: Exception, where: str, *, known: bool) -> Exception:
    if isinstance(error, PermissionError):
        what = "the store refuses access"
        return MergeError(what, where=where, hint=f"it says: {_first_line(error)}")
    if isinstance(error, FileNotFoundError):
        if "bucket" in str(error).lower():
            return UsageError("there is no such bucket", where=where, hint="check the spelling and the region")
        return UsageError("there is no such file or folder", where=where, hint="check the spelling")
    if known:
        return TransientError(f"cannot be read: {_first_line(error)}")
    return MergeError(f"cannot be reached: {_first_line(error)}", where=where)


def has_changed(error: Exception) -> bool:
    """Tell whether an error says that the file is another than the one that was opened."""
    text = str(error).lower()
    return type(error).__name__ == "FileExpired" or "pre-condition" in text or "precondition" in text


def _first_line(error: Exception) -> str:
    return shown(str(error)).strip().partition("\n")[0][:200] or type(error).__name__
