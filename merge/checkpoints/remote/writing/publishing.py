"""The last step of an output elsewhere: the order in which its files appear.

No store has a rename of a whole folder, so nothing that stands there half may be taken for a model. Loaders need
``config.json``, of several shards the index, and of several components the file that names them. Where a former output
is replaced these go first, then the weights appear, and these come last. Until the first file of weights appears,
everything can be undone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from ....errors import MergeError
from ...components.declared import CONFIG, MODULES, PIPELINE
from ...folders import INDEX_SUFFIX
from .objects import Objects
from .standing import is_ours

_NAMES_COMPONENTS = (f"/{PIPELINE}", f"/{MODULES}")


def publish(
    place: Objects,
    weights: Mapping[str, Callable[[], None]],
    files: Mapping[str, Path],
    former: Sequence[str],
    *,
    replace: bool,
    is_folder: bool,
) -> None:
    """Make an output appear.

    Args:
        place: Where.
        weights: What makes each file of tensors appear, by its key.
        files: Small files by their keys.
        former: Keys of the output that stands there.
        replace: Whether something may stand there.
        is_folder: Whether the output is a folder; of a single file, what is beside it appears first.

    Raises:
        MergeError: The store refuses; what had appeared is gone again, as far as it can be undone.
    """
    if former and not replace:
        raise MergeError("something appeared there meanwhile", where=place.address(former[0]))
    with ExitStack() as undo:
        for key in (key for key in former if _is_keystone(key)):
            _withdraw(place, key, undo)
        if not is_folder:
            _put_all(place, files, undo)
        _appear(place, weights, undo, is_fresh=not former)
        if is_folder:
            with _no_way_back(bool(former)):
                for key in set(former) - set(weights) - set(files):
                    if is_ours(key.rpartition("/")[2]):  # else it was put there meanwhile
                        place.delete(key)
                _put_all(place, files, undo)
        undo.pop_all()


@contextmanager
def _no_way_back(replaced: bool) -> Iterator[None]:
    """Say of a failure, if so, that it came when the former output was no longer whole."""
    try:
        yield
    except MergeError as error:
        if not replaced:
            raise
        hint = "the former output is half replaced; run it again with --force"
        raise MergeError(error.what, where=error.where, hint=hint) from None


def _is_keystone(key: str) -> bool:
    return _rank(key)[0] > 0


def _withdraw(place: Objects, key: str, undo: ExitStack) -> None:
    """Remove a small file, to be put back if the output cannot appear."""
    content = place.get(key)
    if content is not None:
        undo.callback(_quietly, place.put, key, content)
        place.delete(key)


def _appear(place: Objects, weights: Mapping[str, Callable[[], None]], undo: ExitStack, *, is_fresh: bool) -> None:
    for done, (key, appear) in enumerate(weights.items()):
        with _no_way_back(done > 0 and not is_fresh):
            appear()
        if is_fresh:
            undo.callback(_quietly, place.delete, key)
        else:
            undo.pop_all()  # the former output is no longer whole


def _put_all(place: Objects, files: Mapping[str, Path], undo: ExitStack) -> None:
    """Write small files, those without which no loader takes the folder last."""
    for key, path in sorted(files.items(), key=lambda item: _rank(item[0])):
        former = place.get(key)
        if former is None:
            undo.callback(_quietly, place.delete, key)
        else:
            undo.callback(_quietly, place.put, key, former)
        place.put(key, path.read_bytes())


def _rank(key: str) -> tuple[int, str]:
    ranks = ((3, _NAMES_COMPONENTS), (2, (f"/{CONFIG}",)), (1, (INDEX_SUFFIX,)))
    return next((rank for rank, endings in ranks if key.endswith(endings)), 0), key


def _quietly(action: Callable[..., None], *arguments: object) -> None:
    """Undo a step; where the store does not let us, the failure that led here is what is told."""
    with suppress(MergeError):
        action(*arguments)
