"""Cases: sound files with some of their nodes and bytes replaced, and bytes at random; hypothesis draws and shrinks."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from fuzz_forms import TWIN, Form, raw
from fuzz_nasty import FRAGMENTS, JSON_VALUES, YAML_VALUES
from hypothesis import strategies as st

MOST = 3  # changes of each kind to one file
Place = tuple[Any, Any]  # a list or mapping, and a key in it


@st.composite
def cases(draw: Any, form: Form, seeds: Sequence[bytes]) -> bytes:
    """Draw one case.

    Args:
        draw: Of hypothesis.
        form: How a file is taken apart.
        seeds: Sound files to begin with.
    """
    whole = draw(st.sampled_from(seeds))
    part = form.unwrap(whole)
    if draw(st.integers(0, 19)) == 19:
        return form.wrap(whole, draw(st.binary(max_size=200)))
    if form.parse is not None:
        part = _changed_tree(draw, form, part)
    for _ in range(draw(st.sampled_from((0, 0, 0, 1, 2)) if form.parse else st.integers(0, MOST))):
        part = _changed_bytes(draw, part)
    whole = whole if part == form.unwrap(whole) else form.wrap(whole, part)
    return _changed_bytes(draw, whole) if draw(st.integers(0, 19)) == 19 else whole


def _changed_tree(draw: Any, form: Form, part: bytes) -> bytes:
    """Return a part with some nodes of its tree replaced, removed, written twice, renamed or put elsewhere."""
    assert form.parse is not None
    tree = [form.parse(part)]
    values = JSON_VALUES + (YAML_VALUES if form.is_yaml else ())
    count = draw(st.sampled_from((0, 1, 1, 1, 2, MOST)))
    for _ in range(count):
        found = list(places(tree))
        if not found:
            break
        holder, key = found[draw(st.integers(0, len(found) - 1))]
        _CHANGES[draw(st.sampled_from(sorted(_CHANGES)))](draw, holder, key, values, tree)
    return form.render(tree[0]) if count and tree else part


def places(tree: Any) -> Iterator[Place]:
    """Yield every node of a tree, by what holds it and its key there."""
    for key in tree if isinstance(tree, dict) else range(len(tree)):
        yield tree, key
        if isinstance(tree[key], dict | list):
            yield from places(tree[key])


def _replace(draw: Any, holder: Any, key: Any, values: Sequence[bytes], tree: Any) -> None:
    holder[key] = raw(draw(st.sampled_from(values)))


def _remove(draw: Any, holder: Any, key: Any, values: Sequence[bytes], tree: Any) -> None:
    del holder[key]


def _repeat(draw: Any, holder: Any, key: Any, values: Sequence[bytes], tree: Any) -> None:
    if isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    else:
        holder[f"{TWIN}{key}"] = copy.deepcopy(holder[key])


def _rename(draw: Any, holder: Any, key: Any, values: Sequence[bytes], tree: Any) -> None:
    if isinstance(holder, dict):
        holder[draw(st.sampled_from(_NAMES))] = holder.pop(key)


def _put(draw: Any, holder: Any, key: Any, values: Sequence[bytes], tree: Any) -> None:
    """Put another node of the tree here."""
    found = list(places(tree))
    other, name = found[draw(st.integers(0, len(found) - 1))]
    holder[key] = copy.deepcopy(other[name])


_CHANGES = {"1 replace": _replace, "2 replace": _replace, "3 remove": _remove, "4 repeat": _repeat}
_CHANGES |= {"5 rename": _rename, "6 put": _put}
_NAMES = ("", "a", "\0", "é", "\ud800", "x" * 5000, "..", "__metadata__", "0", "null", "<<", "*", "w", "a b", "a\nb")


def _changed_bytes(draw: Any, part: bytes) -> bytes:
    """Return bytes with a stretch replaced by a fragment, a few bytes at random or a copy of another stretch."""
    start = draw(st.integers(0, len(part)))
    length = draw(st.sampled_from((0, 1, 1, 2, 4, 8, 64, len(part))))
    kind = draw(st.integers(0, 2))
    if kind == 0:
        inserted = draw(st.binary(max_size=4))
    elif kind == 1:
        inserted = draw(st.sampled_from(FRAGMENTS))
    else:
        other = draw(st.integers(0, len(part)))
        inserted = part[other : other + draw(st.integers(0, 64))]
    return part[:start] + inserted + part[start + length :]
