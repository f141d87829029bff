"""What torch loads of one file that torch.save wrote: plain tensors by name, mapped and not read, or the refusal."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ..errors import MergeError
from .foreign import sharded_refusal
from .header import MAXIMUM_HEADER_BYTES
from .pickled_places import Places, open_archive, places_of
from .stand_ins import Inert, stand_ins, suspect
from .state_dict import find_state

_ZIP, _OLD = b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."  # the latter: torch.save before version 1.6
_GLOBAL = re.compile(r"GLOBAL ([A-Za-z_][\w.]*)")  # in torch's messages
MOST_NAMES = 500  # of classes that are unknown; each is found by another attempt
_PARTS = ("torch.distributed.tensor", "torch.distributed._tensor", "torch.distributed._shard")  # of a tensor, not all
SMALL_BYTES, MOST_TIMES = 2**26, 50  # a compressed archive is held in memory, unless it is a trap
SAFE_TORCH = "2.6"  # before it, loading weights only could be made to run code: CVE-2025-32434
_TRUST = "nothing of it was executed; where you trust it, load it and save the state dict as safetensors"


class Pickle(NamedTuple):
    """One loaded file.

    Attributes:
        tensors: By name.
        places: Where their bytes lie in the file.
        notes: What was left out or taken off the names.
    """

    tensors: Mapping[str, Any]
    places: Places
    notes: list[str]


def load_pickle(path: Path, chosen: str = "") -> Pickle:
    """Load the tensors of one file by their names.

    Args:
        path: The file.
        chosen: The wrapper in it that is wanted, where the user names one.

    Raises:
        MergeError: It is damaged, was not written by torch.save, or holds more than plain tensors; or this torch is
            one that does not load it safely.
    """
    if path.suffix == ".safetensors":  # torch would go by the name
        what = "this is a pickle or zip archive under the name of a safetensors file"
        raise MergeError(what, where=str(path), hint=f"where that is meant, rename it to {path.stem}.pt")
    _refuse_unsafe_torch(path)
    with path.open("rb") as stream:
        start = stream.read(len(_OLD))
    if start.startswith(_ZIP):
        kept = "of compressed records" if _is_compressed(path) else ""
    elif start == _OLD:
        kept = "of a format before PyTorch 1.6"
    else:
        what = "this is a Python pickle that torch.save did not write"
        raise MergeError(what, where=str(path), hint=_TRUST)
    tensors, notes = find_state(_load(path, mapped=not kept), str(path), chosen)
    if kept:
        return Pickle(tensors, Places({}), [*notes, f"{path.name} is {kept}: it is held in memory"])
    return Pickle(tensors, places_of(path, tensors.values()), notes)


def _refuse_unsafe_torch(path: Path) -> None:
    import torch

    if torch.torch_version.TorchVersion(torch.__version__) < SAFE_TORCH:
        what = f"torch {torch.__version__} can be made to run code by such a file (CVE-2025-32434), so it is not loaded"
        raise MergeError(what, where=str(path), hint="pip install 'torch>=2.6'; safetensors files need no torch")


def _is_compressed(path: Path) -> bool:
    """Tell whether an archive of torch.save was compressed later; refuse those that are damaged or no such thing."""
    with open_archive(path) as archive:
        entries = archive.infolist()
    names = {entry.filename.rpartition("/")[2]: entry for entry in entries}
    if "constants.pkl" in names:
        hint = "load it where you trust it and save its state dict as safetensors; nothing of it was executed"
        raise MergeError("this is a TorchScript archive, a program and not only weights", where=str(path), hint=hint)
    if "data.pkl" not in names:
        what = "a zip archive that torch.save did not write"
        raise MergeError(what, where=str(path), hint="give a safetensors file or one of torch.save")
    if names["data.pkl"].file_size > MAXIMUM_HEADER_BYTES:
        raise MergeError("its list of tensors is larger than 100 MB", where=str(path), hint="it is damaged or no model")
    unpacked = sum(entry.file_size for entry in entries)
    if unpacked > max(SMALL_BYTES, MOST_TIMES * path.stat().st_size):
        what = f"a compressed archive of {unpacked:,} bytes, far more than weights can be compressed to"
        raise MergeError(what, where=str(path), hint="where you trust it, load it and save it again")
    return any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)


def _load(path: Path, *, mapped: bool) -> Any:
    """Load with torch's own restricted unpickler, which builds tensors and plain containers and nothing else.

    Objects of other classes are replaced by ones that do nothing; see `merge.checkpoints.stand_ins`. Torch maps
    compressed records as if they were not, so those must not be mapped.
    """
    names, mappings = _unknown_names(path), False
    while True:
        _refuse_names(path, names)
        try:
            return _load_once(path, mapped, stand_ins(names, mappings=mappings))
        except pickle.UnpicklingError as error:
            found = _GLOBAL.search(str(error))
            unknown = _full_name(found[1]) if found else None
            if unknown is not None and unknown not in names and len(names) < MOST_NAMES:
                names.add(unknown)
            elif names and not mappings and "SETITEM" in str(error):
                mappings = True
            else:
                raise _refusal(path, unknown) from None


def _unknown_names(path: Path) -> set[str]:
    """Return the names in a file that torch does not know, as far as it tells without loading it."""
    import torch

    try:
        return set(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # of a former format, or damaged: loading finds them one by one, or says what is wrong
        return set()


def _load_once(path: Path, mapped: bool, safe: list[Inert]) -> Any:
    import warnings

    import torch

    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(safe):
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except pickle.UnpicklingError:
        raise
    except Exception as error:
        text = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        reason = "it ends too early" if "EOF" in text else f"torch cannot read it: {text}"
        raise MergeError(reason, where=str(path), hint="copy it again") from None


def _full_name(name: str) -> str:
    """Return a name as the file has it; torch leaves the module ``builtins`` out of its messages."""
    return name if "." in name else f"builtins.{name}"


def _refuse_names(path: Path, names: set[str]) -> None:
    """Refuse a file whose tensors are parts of others, or that would have code run."""
    if any(name.startswith(_PARTS) for name in names):
        raise sharded_refusal(str(path))
    bad = suspect(names)
    if bad is not None:
        raise _refusal(path, bad)


def _refusal(path: Path, name: str | None) -> MergeError:
    what = f"holds more than weights ('{name}')" if name else "holds more than weights"
    return MergeError(f"this pickle {what}, so it is not loaded", where=str(path), hint=_TRUST)
