"""The place of an output in a bucket: what stands there, what is read, and whether it may be written."""

from __future__ import annotations

from ....errors import UsageError
from ...address import Address
from ...destination import Intended
from .bucket import Bucket
from .inputs import refuse_inputs
from .object_building import ObjectBuilding
from .object_names import ObjectNames
from .standing import check_card, check_free, check_ours


class ObjectDestination:
    """An address in a bucket.

    Args:
        out: The address.
        is_folder: Whether a folder goes there.
    """

    def __init__(self, out: Address, *, is_folder: bool) -> None:
        self._out, self._is_folder = out, is_folder

    def building(self) -> ObjectBuilding:
        """Return the output on its way, not begun."""
        return ObjectBuilding(self._out, is_folder=self._is_folder)

    def check(self, intended: Intended) -> None:
        """Refuse what is in the way or an input, and find out whether the bucket may be written.

        Raises:
            UsageError: The output is in the way or an input, or something is asked for that a store cannot do.
            MergeError: There are no credentials, or the store refuses access or cannot be reached.
        """
        where = str(self._out)
        _refuse_flags(intended, where)
        refuse_inputs(self._out, intended)
        bucket = Bucket(where)
        if not bucket.key:
            raise UsageError("this is a whole bucket", where=where, hint=f"name a folder in it: {where}/merged")
        names = ObjectNames(bucket.key, is_folder=self._is_folder)
        self._check_standing(bucket, intended)
        if isinstance(intended.card, Address):
            key = names.beside(intended.card.name)
            check_card(bucket.get(key), intended.mark, bucket.address(key))
        if not intended.rehearsal:
            bucket.abort(names.lock, bucket.begin(names.lock))  # tells whether it may be written; nobody sees it

    def _check_standing(self, bucket: Bucket, intended: Intended) -> None:
        where, folder = str(self._out), f"{bucket.key}/"
        below = [key.removeprefix(folder) for key in bucket.keys(folder) if key != folder]  # a mark of some tools
        is_file = bucket.head(bucket.key) is not None
        stands = check_free(
            where, is_file=is_file, holds=bool(below), is_folder=intended.is_folder, force=intended.force
        )
        if stands and intended.is_folder:
            bucket.filesystem.invalidate_cache()  # of listings that were made before
            check_ours(bucket.filesystem, f"{bucket.name}/{bucket.key}", below, where)


def _refuse_flags(intended: Intended, where: str) -> None:
    if intended.resume:
        what = "what was uploaded of an unfinished output cannot be continued"
        raise UsageError(what, where=where, hint="leave --resume out: the merge begins anew")
    if intended.sha256:
        what = "--sha256 would have to read the output back from there"
        raise UsageError(what, where=where, hint="leave it out, or write to this machine")
