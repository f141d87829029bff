"""Is an output elsewhere one of the inputs?"""

from __future__ import annotations

import re

from ....errors import UsageError
from ...address import Address
from ...components.part import parts_of
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
        within = [source, *(part.source for part in parts_of(source))]
        remote = [one for one in within if isinstance(one, RemoteCheckpoint)]
        if not remote:
            continue
        addresses = [plain(address) for one in remote for address in one.addresses]
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
