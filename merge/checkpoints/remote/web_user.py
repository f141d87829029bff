"""User and password in the address of a web server."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit


def split_user(url: str) -> tuple[str, dict[str, str]]:
    """Return an address without the user and password in it, and the headers that tell the server of them."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    if not at:
        return url, {}
    from urllib3.util import make_headers

    known = unquote(user) if ":" in user else f"{unquote(user)}:"
    return parts._replace(netloc=host).geturl(), make_headers(basic_auth=known)
