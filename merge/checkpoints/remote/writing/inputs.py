"""Is an output elsewhere one of the inputs?"""

from __future__ import annotations

import re

from ....errors import UsageError
from ...address import Address
from ...derived import whole
from ...destination import Intended
from ..checkpoint import RemoteCheckpoint


def refuse_inputs(out: Address, intended: Intended) -> None:
    """Refuse an output that is an input, holds one, or would lie as a file in the folder of one.

    Raises:
        UsageError: Saying which.
    """
    place = plain(str(out))
    for source in map(whole, intended.sources):
        if not isinstance(source, RemoteCheckpoint):
            continue
        addresses = [plain(address) for address in source.addresses]
        if any(address == place or address.startswith(f"{place}/") for address in addresses):
            raise UsageError("the output is one of the inputs", where=str(out), hint="choose another --out")
        folder = place.rpartition("/")[0]
        if not intended.is_folder and plain(source.location) == folder:
            what = "the output would lie in the folder of an input, beside its weights"
            raise UsageError(what, where=str(out), hint="choose another --out")


def plain(address: str) -> str:
    """Return an address without what may be spelled in several ways."""
    protocol, _, rest = address.partition("://")
    protocol = re.sub("^s3a$", "s3", protocol.lower())
    return f"{protocol}://{rest.strip('/')}"
