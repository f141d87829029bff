"""Permutations in a file: safetensors of int64, one tensor for each group, with the groups themselves in the metadata.

So a file stands for itself: whoever has it can apply the permutations to any checkpoint with tensors of these names
and shapes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints.header import render_entries, render_header
from ..checkpoints.resolve import open_checkpoint
from ..checkpoints.space import check_space
from ..checkpoints.staging import Staging
from ..checkpoints.target import check_target
from ..data_use import NO_DATA
from ..errors import MergeError, UsageError
from .groups import Groups
from .groups_document import groups_document, groups_hash, read_groups_document
from .permutations import is_valid

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ..checkpoints.checkpoint import FileCheckpoint

KIND = "permutations"
DTYPE = "I64"


@dataclass(frozen=True)
class Permutations:
    """Orders that bring a model's units into the order of another's.

    Attributes:
        groups: What they belong to.
        orders: By group; a group that is absent stays as it is.
        reference: Content id of the model that stayed; empty where it is not known.
        moved: Content id of the model that was moved.
        about: Whatever else is recorded, as JSON: seeds, sweeps, objective, distance, groups (`MatchReport.document`).
        fingerprint: A hash of all that the orders depend on; empty where it is not known.
        data_use: Which data they were found with: ``none``, ``unlabeled`` or ``labels``.
    """

    groups: Groups
    orders: Mapping[str, NDArray[np.int64]]
    reference: str = ""
    moved: str = ""
    about: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    data_use: str = NO_DATA

    def metadata(self) -> dict[str, str]:
        """Return what the file says of itself, as texts."""
        from ..provenance import DATA_USE_KEY, TOOL

        used = {} if self.data_use == NO_DATA else {DATA_USE_KEY: self.data_use}
        return used | {
            "format": "pt",
            "kind": KIND,
            "groups": json.dumps(groups_document(self.groups), separators=(",", ":")),
            "groups_hash": groups_hash(self.groups),
            "reference": self.reference,
            "moved": self.moved,
            "about": json.dumps(dict(self.about), sort_keys=True),
            "fingerprint": self.fingerprint,
            "merge.tool": TOOL,
        }


def write_permutations(
    path: Path, permutations: Permutations, *, force: bool = False, inputs: Iterable[Path] = ()
) -> None:
    """Write a file, whole or not at all; its bytes depend on its content alone.

    Args:
        path: The file.
        permutations: What it holds.
        force: Whether a file that stands there may be replaced.
        inputs: Files that are read, and must not be overwritten.

    Raises:
        UsageError: The output must not be written.
        MergeError: It cannot be, or an order is none of its group.
    """
    check_permutations_target(path, force=force, inputs=inputs)
    _check(permutations, str(path))
    staging = Staging(path, is_folder=False)
    staging.open(resume=False)
    try:
        _write(staging.path(path.name), permutations)
        staging.commit(replace=force, sync=True)
    finally:
        staging.close()


def check_permutations_target(path: Path, *, force: bool, inputs: Iterable[Path]) -> None:
    """Refuse an output that must not be written; see `write_permutations`. Raises UsageError."""
    if path.is_dir():
        raise UsageError("a folder stands there, and permutations are a single file", where=str(path))
    check_target(path, inputs, is_folder=False, force=force)


def without_times(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a matching reports without how long it took, so that the same orders give the same file."""
    kept = {name: value for name, value in about.items() if name != "seconds"}
    return {name: without_times(value) if isinstance(value, Mapping) else value for name, value in kept.items()}


def digest(fingerprint: str) -> str:
    """Return a hash of a text."""
    import xxhash

    return xxhash.xxh3_128_hexdigest(fingerprint.encode())


def _write(path: Path, permutations: Permutations) -> None:
    names, position, slots, raw = sorted(permutations.orders), 0, [], []
    for name in names:
        order = permutations.orders[name]
        raw.append(order.astype("<i8").tobytes())
        slots.append((name, DTYPE, tuple(order.shape), position, position + len(raw[-1])))
        position += len(raw[-1])
    check_space(path, position)
    try:
        with path.open("wb") as file:
            file.write(render_header(render_entries(slots), permutations.metadata()))
            file.writelines(raw)
    except OSError as error:
        raise MergeError(f"cannot write the permutations: {error.strerror}", where=str(path.parent)) from None


def read_permutations(path: Path) -> Permutations:
    """Read a file.

    Raises:
        MergeError: It is no such file, or an order is none of its group.
    """
    source = open_checkpoint(str(path))
    try:
        return _read(source, str(path))
    finally:
        source.close()


def _read(source: FileCheckpoint, where: str) -> Permutations:
    from ..provenance import DATA_USE_KEY

    metadata = source.metadata
    if metadata.get("kind") != KIND:
        hint = "merge rebasin --emit permutations writes such files"
        raise MergeError("this file holds no permutations", where=where, hint=hint)
    groups = read_groups_document(_json(metadata, "groups", where), where)
    if metadata.get("groups_hash") != groups_hash(groups):
        raise MergeError("the groups in the metadata are not those it was written with", where=where)
    orders = {name: _order(source, name, where) for name in source.tensors}
    about = _json(metadata, "about", where)
    if not isinstance(about, dict):
        raise MergeError("'about' in the metadata is no JSON object", where=where)
    reference, moved, fingerprint = (metadata.get(name, "") for name in ("reference", "moved", "fingerprint"))
    data_use = metadata.get(DATA_USE_KEY, NO_DATA)
    found = Permutations(groups, orders, reference, moved, about, fingerprint, data_use)
    _check(found, where)
    return found


def _json(metadata: Mapping[str, str], name: str, where: str) -> Any:
    try:
        return json.loads(metadata.get(name, ""))
    except (ValueError, RecursionError):
        raise MergeError(f"'{name}' in the metadata is no JSON", where=where, hint="make the file again") from None


def _order(source: FileCheckpoint, name: str, where: str) -> NDArray[np.int64]:
    import numpy as np

    info = source.tensors[name]
    if info.dtype != DTYPE:
        raise MergeError(f"the order of group '{name}' is {info.dtype}, not {DTYPE}", where=where)
    order = np.empty(info.shape, "<i8")
    if info.nbytes:
        source.read_into(info, 0, order.reshape(-1).view(np.uint8).data)
    return order.astype(np.int64)


def _check(permutations: Permutations, where: str) -> None:
    """Refuse orders that are none."""
    groups = permutations.groups
    for name, order in permutations.orders.items():
        if name not in groups.groups:
            raise MergeError(f"an order is given for group '{name}', which is not among its groups", where=where)
        if not is_valid(order, groups.groups[name], groups):
            what = f"the order of group '{name}' does not hold every unit once"
            raise MergeError(what, where=where, hint="make the file again")
