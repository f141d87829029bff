"""What may be shown of an address: what signs it, a password or a token, goes into no message, card or report."""

from __future__ import annotations

import re

_HIDDEN = "…"
_SECRET = re.compile(
    r"(?:x-amz-|x-goog-|x-ms-|x-oss-|x-cos-|q-)[\w-]+|awsaccesskeyid|googleaccessid|key-pair-id|policy|expires"
    r"|s[ipvretdk]|spr|srt?|sks|ske?t?|skv|sktid|skoid"  # of Azure's shared access signatures
    r"|.*(?:sig|signature|token|secret|password|passwd|pwd|auth|authorization|credentials?|apikey|api[-_]key|jwt)",
    re.IGNORECASE,
)
_SIGNED = re.compile(r"(?:^|[?&;])[^=&;]*(?:sig|token|secret|passw|pwd|auth|credential|api[-_]?key|jwt)", re.IGNORECASE)
_QUERY = re.compile(r"\?[^\s'\"<>)]+")
_WEB_USER = re.compile(r"(?<=https://)[^/@\s]+@|(?<=http://)[^/@\s]+@")
_PASSWORD = re.compile(r"(?<=://)([^/@:\s]*):[^/@\s]+@")


def shown(text: str) -> str:
    """Return a location, or a text with addresses in it, without what is secret in its addresses.

    Where a query is signed, all that may belong to the signature is hidden; other queries stay as they are, since they
    say which file is meant.
    """
    text = _QUERY.sub(lambda found: _without_secrets(found[0]), text)
    return _PASSWORD.sub(rf"\1:{_HIDDEN}@", _WEB_USER.sub(f"{_HIDDEN}@", text))


def _without_secrets(query: str) -> str:
    if not _SIGNED.search(query):
        return query
    return "?" + "&".join(_without_secret(part) for part in re.split("[&;]", query[1:]))


def _without_secret(part: str) -> str:
    name, equals, _ = part.partition("=")
    return f"{name}={_HIDDEN}" if equals and _SECRET.fullmatch(name) else part
