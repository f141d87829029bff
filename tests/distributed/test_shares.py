"""Shares: every piece once, in order, none across two files, tensors whole where they must be."""

from __future__ import annotations

import pickle

import pytest
import torch
from checkpoint_files import save

from merge.distributed.job import identity_of
from merge.distributed.shares import cut_shares, share_elements
from merge.errors import LostError, UsageError
from merge.plan import make_plan
from merge.recipe import Merge, Model, Output, Recipe
from merge.streaming.pieces import PIECE_ELEMENTS, cut, file_of


@pytest.fixture
def plan(models):
    parts = tuple(Model(str(models / name)) for name in "ab")
    output = Output(path=models / "out", max_shard_size=3_000_000)
    plan = make_plan(Recipe(Merge("soup", parts), output=output))
    yield plan
    plan.close()


def test_no_piece_writes_to_two_files(plan):
    assert len(plan.files) > 3
    for piece in cut(plan.rows):
        assert len({plan.rows[span.first].file for span in piece}) == 1


@pytest.mark.parametrize("elements", [1, PIECE_ELEMENTS, 10**9])
@pytest.mark.parametrize("whole_files", [True, False])
@pytest.mark.parametrize("divisible", [True, False])
def test_shares_are_all_pieces_in_order(plan, elements, whole_files, divisible):
    pieces = list(enumerate(cut(plan.rows)))
    shares = list(cut_shares(pieces, plan.rows, elements, whole_files=whole_files, divisible=divisible))
    assert [item for share in shares for item in share] == pieces
    for share in shares:
        assert len({file_of(piece, plan.rows) for _, piece in share}) == 1
        assert divisible or whole_files or share[0][1][0].start == 0
    if whole_files:
        assert len(shares) == len(plan.files)


def test_a_tensor_stays_in_one_share_unless_it_may_be_divided(tmp_path):
    state = {name: torch.zeros(10_000_000, dtype=torch.bfloat16) for name in "vw"}
    parts = tuple(Model(str(save(tmp_path / f"{name}.st", state))) for name in "ab")
    plan = make_plan(Recipe(Merge("soup", parts), output=Output(path=tmp_path / "out.st")))
    pieces = list(enumerate(cut(plan.rows)))
    plan.close()
    assert len(pieces) == 6
    assert [len(share) for share in cut_shares(pieces, plan.rows, 1, divisible=False)] == [3, 3]
    assert [len(share) for share in cut_shares(pieces, plan.rows, 1)] == [1] * 6


def test_there_are_a_few_shares_for_each_worker(plan):
    pieces = list(enumerate(cut(plan.rows)))
    total = sum(span.stop - span.start for _, piece in pieces for span in piece)
    assert share_elements(pieces, 1, 10**9) == max(PIECE_ELEMENTS, total // 4)
    assert share_elements(pieces, 1000, 10**9) == PIECE_ELEMENTS
    assert share_elements(pieces, 1, PIECE_ELEMENTS) == PIECE_ELEMENTS


def test_a_plan_made_again_is_the_same_until_an_input_changes(plan, models):
    again = pickle.loads(pickle.dumps(plan.again))()
    again.close()
    assert identity_of(again) == identity_of(plan)
    other = make_plan(Recipe(Merge("soup", (Model(str(models / "a")), Model(str(models / "c"))))))
    other.close()
    assert identity_of(other) != identity_of(plan)


@pytest.mark.parametrize("kind", [UsageError, LostError])
def test_errors_pass_between_processes_in_their_parts(kind):
    found = pickle.loads(pickle.dumps(kind("what", where="here", hint="do")))
    assert (type(found), found.what, found.where, found.hint) == (kind, "what", "here", "do")
    assert str(found) == "here: what (do)"
