"""Which kind of place an address is for an output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ....errors import UsageError
from ...address import Address
from .bucket import PROTOCOLS

if TYPE_CHECKING:
    from ...destination import Destination

_WEB = ("http", "https")
_HUB = ("hf", "hub")


def remote_destination(out: Address, *, is_folder: bool) -> Destination:
    """Return the place of an output elsewhere.

    Raises:
        UsageError: Nothing can be written there.
    """
    where = str(out)
    if out.protocol in _HUB:
        hint = f"write it to this machine, then: merge push OUT {where.partition(':')[2].strip('/') or 'org/name'}"
        raise UsageError("the hub takes an output as a whole", where=where, hint=hint)
    if out.protocol in _WEB:
        raise UsageError("a web server takes no files", where=where, hint="write to this machine, or to s3://…")
    if "::" in where:
        raise UsageError("a chain of file systems cannot be written", where=where, hint="name the last one alone")
    _refuse_odd_parts(out)
    if out.protocol in PROTOCOLS:
        from .object_destination import ObjectDestination

        return ObjectDestination(out, is_folder=is_folder)
    from .sent_destination import SentDestination

    return SentDestination(out, is_folder=is_folder)


def _refuse_odd_parts(out: Address) -> None:
    """Refuse an address whose folder goes by another name too, so that an input there would not be known again.

    Raises:
        UsageError: Saying what is odd.
    """
    path = str(out).partition("://")[2]
    if out.protocol not in PROTOCOLS:
        path = path.removeprefix("/")  # some name no host
    for part in path.split("/"):
        if part in ("", ".", ".."):
            what = f"the address has a part '{part}'" if part else "the address has an empty part"
            raise UsageError(what, where=str(out), hint="write it as s3://bucket/folder/merged")
