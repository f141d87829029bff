"""What killed runs have left behind, where the next run finds it."""

from __future__ import annotations

import shutil

import pytest

from merge.calibration.sequential.cache import temporary_folder
from merge.checkpoints.staging import Staging
from merge.errors import MergeError


def test_activations_and_grams_of_a_killed_run(tmp_path):
    left = tmp_path / ".out.st-grams"
    left.mkdir()
    (left / "0-0").write_bytes(b"old")
    with temporary_folder(tmp_path / "out.st", "grams") as folder:
        assert folder == left
        assert list(folder.iterdir()) == []
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_cannot_be_removed_does_not_become_part_of_a_new_one(tmp_path, monkeypatch):
    first = Staging(tmp_path / "out", is_folder=True)
    first.open(resume=False)
    first.path("model-00002-of-00002.safetensors").write_bytes(b"old")
    first.leave()

    def refuse(path, ignore_errors=False):
        if not ignore_errors:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(shutil, "rmtree", refuse)
    with pytest.raises(MergeError, match="cannot write into this folder: Input/output error"):
        Staging(tmp_path / "out", is_folder=True).open(resume=False)
