"""Heads of zero-shot classification that are kept: the same numbers, and a key of everything that matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_clip import make_clip
from zero_shot_case import BOTH, CLASSES, logits_of


def test_same_numbers_with_and_without(clip, write, cache):
    benchmark = write(CLASSES + BOTH)
    first = logits_of(clip[0], benchmark)
    (file,) = cache.iterdir()
    before = file.stat().st_mtime_ns
    np.testing.assert_array_equal(logits_of(clip[0], benchmark), first)
    assert [(path, path.stat().st_mtime_ns) for path in cache.iterdir()] == [(file, before)]


def test_what_is_kept_is_used(clip, write, cache):
    from merge.evaluation.zero_shot.cache import read_cached, write_cached

    first = logits_of(clip[0], write(CLASSES))
    (file,) = cache.iterdir()
    write_cached(file.stem, read_cached(file.stem).flip(0))
    np.testing.assert_allclose(logits_of(clip[0], write(CLASSES)), first[:, ::-1], rtol=1e-6)


@pytest.mark.parametrize("change", ["cut", "flip a bit", "other content"])
def test_a_damaged_file_is_made_anew(clip, write, cache, change):
    first = logits_of(clip[0], write(CLASSES))
    (file,) = cache.iterdir()
    sound = file.read_bytes()
    flipped = sound[:-1] + bytes([sound[-1] ^ 64])
    file.write_bytes({"cut": sound[:40], "flip a bit": flipped, "other content": b"no tensors"}[change])
    np.testing.assert_array_equal(logits_of(clip[0], write(CLASSES)), first)
    assert file.read_bytes() == sound


@pytest.mark.parametrize("change", ["classes", "templates", "weights"])
def test_everything_that_matters_is_in_the_key(clip, write, cache, tmp_path, change):
    folder = clip[0]
    logits_of(folder, write(CLASSES))
    if change == "weights":
        folder = tmp_path / "other"
        make_clip(folder, seed=3)
    text = {"classes": "classes: [a, b, c]\n", "templates": CLASSES + BOTH}.get(change, CLASSES)
    logits_of(folder, write(text))
    assert len(list(cache.iterdir())) == 2


def test_no_place_to_write_is_no_failure(clip, write, tmp_path, monkeypatch):
    first = logits_of(clip[0], write(CLASSES))
    (tmp_path / "file").touch()
    monkeypatch.setenv("MERGE_CACHE", str(tmp_path / "file"))
    np.testing.assert_array_equal(logits_of(clip[0], write(CLASSES)), first)


def test_it_lies_where_the_system_keeps_caches(monkeypatch):
    from merge.evaluation.zero_shot.cache import cache_folder

    monkeypatch.delenv("MERGE_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/merge/heads")
