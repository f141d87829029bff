"""Tensors that do not simply merge: missing, of another shape, kept, constant, under another prefix, of mixed types."""

from __future__ import annotations

import json

import pytest
import torch
from checkpoint_files import assert_same, load, save
from in_memory import merge_states, recipe_of, run_recipe

from merge.errors import MergeError, UsageError

LARGE = 700_000  # more bytes than any chunk holds


def state(**values):
    return {name: torch.tensor(value) if isinstance(value, list | float) else value for name, value in values.items()}


FULL, PART = state(w=[2.0, 4.0], only=[1.0]), state(w=[4.0, 8.0])


def with_policy(policy, models, base=None, method="soup", kind="missing", **more):
    return run_recipe(recipe_of(method, models, base, more={kind: policy}, **more))


def values(found):
    return {name: tensor.tolist() for name, tensor in found.items()}


@pytest.mark.parametrize(
    ("policy", "models", "wanted"),
    [
        ("base", [FULL, PART], {"w": [3, 6], "only": [1]}),
        ("base", [PART, FULL], {"w": [3, 6]}),
        ("skip", [FULL, PART], {"w": [3, 6]}),
        ("skip", [PART, FULL], {"w": [3, 6]}),
        ("average-present", [FULL, PART], {"w": [3, 6], "only": [1]}),
        ("average-present", [PART, FULL], {"w": [3, 6], "only": [1]}),
        ("average-present", [FULL, FULL, PART], {"w": [8 / 3, 16 / 3], "only": [1]}),
    ],
)
def test_missing(policy, models, wanted):
    found, plan, _ = with_policy(policy, models)
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], torch.tensor(value, dtype=torch.float32))
    assert ("only" in found) or any(skip.name == "only" for skip in plan.skips)


@pytest.mark.parametrize("models", [[FULL, PART], [PART, FULL]])
def test_missing_is_an_error_by_default(models):
    with pytest.raises(MergeError, match="'only' absent from"):
        merge_states("soup", models)


def test_averaging_present_keeps_the_sum_of_the_weights():
    one, two, three = state(w=[1.0], x=[10.0]), state(w=[1.0], x=[20.0]), state(w=[1.0])
    found, _, _ = with_policy("average-present", [one, two, three], weights=[0.2, 0.3, 0.5])
    torch.testing.assert_close(found["x"], torch.tensor([0.4 * 10 + 0.6 * 20]))
    torch.testing.assert_close(found["w"], torch.tensor([1.0]))


def test_averaging_present_task_vectors():
    base, one, two = state(w=[1.0], x=[1.0]), state(w=[2.0], x=[3.0]), state(w=[3.0])
    found, _, _ = with_policy("average-present", [one, two], base, "task-arithmetic", weights=[1.0, 2.0])
    assert values(found) == {"w": [6.0], "x": [3.0]}


SMALL, WIDE = state(w=[1.0], head=[1.0, 2.0]), state(w=[3.0], head=[1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("policy", "models", "wanted"),
    [
        ("base", [SMALL, WIDE], {"w": [2], "head": [1, 2]}),
        ("base", [WIDE, SMALL], {"w": [2], "head": [1, 2, 3]}),
        ("skip", [SMALL, WIDE], {"w": [2]}),
        ("average-present", [SMALL, WIDE], {"w": [2], "head": [1, 2]}),
        ("average-present", [SMALL, state(w=[3.0], head=[5.0, 6.0]), WIDE], {"w": [7 / 3], "head": [3, 4]}),
    ],
)
def test_mismatch(policy, models, wanted):
    found, plan, _ = with_policy(policy, models, kind="mismatch")
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], torch.tensor(value, dtype=torch.float32))
    assert "skip" not in policy or {skip.source for skip in plan.skips} == {0, 1}


@pytest.mark.parametrize("policy", ["base", "skip", "average-present"])
@pytest.mark.parametrize("kind", ["missing", "mismatch"])
def test_every_input_tensor_is_in_the_ledger(policy, kind):
    models = [FULL, PART, state(w=[0.0, 0.0], other=[1.0])] if kind == "missing" else [SMALL, WIDE, dict(SMALL)]
    _, plan, outcome = with_policy(policy, models, kind=kind)
    for source, model in enumerate(models):
        rows = {tensor.name for row in plan.rows for tensor in [row.tensors[source]] if tensor}
        assert rows == set(model)
        written = {row.name for row in plan.rows if row.action != "check" and row.tensors[source]}
        skipped = {skip.name for skip in plan.skips if skip.source == source}
        assert written | skipped == set(model)
    assert len(outcome.input_ids) == len(models)


@pytest.mark.parametrize("size", [3, LARGE])
@pytest.mark.parametrize(("kept", "other"), [(torch.bfloat16, torch.float32), (torch.float32, torch.bfloat16)])
def test_kept_tensors_of_mixed_types(size, kept, other):
    one = {"w": torch.ones(2), "head": torch.arange(size).to(kept)}
    two = {"w": torch.ones(2), "head": torch.arange(size).to(other) + 1}
    found, _, outcome = run_recipe(recipe_of("soup", [one, two], more={"keep": ("head",)}))
    assert torch.equal(found["head"], one["head"])
    assert outcome.input_ids[1] == run_recipe(recipe_of("soup", [two, one]))[2].input_ids[0]


@pytest.mark.parametrize("size", [3, LARGE])
@pytest.mark.parametrize(("first", "second"), [(torch.int32, torch.int64), (torch.int64, torch.uint8)])
def test_integers_of_mixed_types(size, first, second):
    one, two = ({"w": torch.ones(2), "ids": (torch.arange(size) % 100).to(kind)} for kind in (first, second))
    found, _, outcome = run_recipe(recipe_of("soup", [one, two]))
    assert torch.equal(found["ids"], one["ids"])
    assert any("'ids'" in line for line in outcome.disagreements)


@pytest.mark.parametrize("size", [(2, 3), (3, 2), (1, LARGE), (LARGE, 1)])
@pytest.mark.parametrize("policy", ["base", "skip", "average-present"])
def test_mismatch_of_any_size(size, policy):
    one, two = ({"w": torch.ones(2), "head": torch.ones(count)} for count in size)
    found, _, _ = with_policy(policy, [one, two], kind="mismatch")
    assert policy == "skip" or torch.equal(found["head"], one["head"])


def test_keep_takes_globs_and_expressions():
    base, one = state(a=[0.0], b=[0.0], ab=[0.0]), state(a=[1.0], b=[1.0], ab=[1.0])
    for patterns, kept in ((("a",), {"a"}), (("a*",), {"a", "ab"}), (("/b$/",), {"b", "ab"}), (("a", "b"), {"a", "b"})):
        found, _, _ = run_recipe(recipe_of("task-arithmetic", [one], base, more={"keep": patterns}))
        assert {name for name in found if found[name].item() == 0} == kept


@pytest.mark.parametrize("prefix", ["vision_model.", "model.", "module.", "base.model."])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_prefix_is_resolved(prefix, order):
    plain = {f"layers.{n}.{part}": torch.full((2,), float(n)) for n in range(3) for part in ("w", "b")}
    other = {f"{prefix}{name}": tensor + 2 for name, tensor in plain.items()}
    models = [(plain, other)[number] for number in order]
    found, plan, _ = run_recipe(recipe_of("soup", models))
    assert found.keys() == models[0].keys()
    for name, tensor in zip(found, plain.values(), strict=True):
        assert torch.equal(found[name], tensor + 1)
    assert any(prefix in note for note in plan.notes)
    assert not plan.skips


def test_a_prefix_on_a_part_of_the_names():
    """CLIP: the tower moved under `vision_model.`, the projection did not."""
    old = state(**{"encoder.w": [1.0], "encoder.b": [1.0], "projection": [1.0]})
    new = state(**{"vision_model.encoder.w": [3.0], "vision_model.encoder.b": [3.0], "projection": [3.0]})
    assert values(merge_states("soup", [old, new])) == {"encoder.w": [2], "encoder.b": [2], "projection": [2]}


def test_an_unrelated_name_is_not_paired():
    one, two = state(a=[1.0], w=[1.0]), state(**{"a": [1.0], "x.y.v": [1.0]})
    with pytest.raises(MergeError, match="absent"):
        merge_states("soup", [one, two])


@pytest.mark.parametrize("name", ["attn.bias", "attn.masked_bias", "text.attn_mask", "rotary_emb.inv_freq"])
def test_constants_are_copied(name):
    base, one = ({name: torch.full((2, 2), value), "w": torch.ones(1)} for value in (1.0, 3.0))
    assert torch.equal(merge_states("task-arithmetic", [one], base)[name], base[name])


def test_type_and_warnings_of_a_dry_run(cli, tmp_path):
    one = save(tmp_path / "a.st", FULL | {"steps": torch.tensor(1)})
    two = save(tmp_path / "b.st", PART | {"steps": torch.tensor(1)})
    result = cli(
        "soup", one, two, "--missing", "skip", "--dtype", "bf16", "-o", tmp_path / "o.st", "--dry-run", "--json"
    )
    plan = json.loads(result.out)
    assert {row["name"]: (row["action"], row["dtype"]) for row in plan["tensors"]} == {
        "w": ("merge", "BF16"),
        "steps": ("copy", "I64"),
    }
    assert [(skip["tensor"], skip["model"]) for skip in plan["skipped"]] == [("only", str(one))]
    assert not (tmp_path / "o.st").exists()


def test_policies_by_flag(cli, tmp_path):
    one, two = save(tmp_path / "a.st", FULL), save(tmp_path / "b.st", PART)
    result = cli("soup", one, two, "--missing", "average-present", "-o", tmp_path / "o.st")
    assert result.code == 0, result.err
    assert_same(load(tmp_path / "o.st"), state(w=[3.0, 6.0], only=[1.0]))


def test_a_model_that_shares_nothing_with_the_base():
    with pytest.raises((MergeError, UsageError)):
        merge_states("task-arithmetic", [state(x=[1.0])], state(w=[1.0]))


@pytest.mark.parametrize("policy", ["error", "base", "skip", "average-present"])
def test_a_buffer_that_only_another_model_has(policy):
    old = FULL | {"position_ids": torch.arange(4)}
    found, *_ = with_policy(policy, [FULL, old])
    assert ("position_ids" in found) is (policy == "average-present")
    assert found["w"].tolist() == [2.0, 4.0]


def test_a_weight_of_zero_for_all_that_have_a_tensor_is_refused():
    with pytest.raises(MergeError, match="'only'"):
        with_policy("average-present", [FULL, PART], weights=[0.0, 1.0])


def test_an_absent_task_vector_counts_as_zero():
    base = state(w=[0.0, 0.0], only=[5.0])
    found, *_ = with_policy("average-present", [PART, PART], base, method="task-arithmetic")
    assert values(found) == {"w": [8.0, 16.0], "only": [5.0]}


def test_a_base_that_lacks_a_tensor_is_named():
    with pytest.raises(MergeError, match="the base lacks it"):
        with_policy("average-present", [FULL, FULL], PART, method="task-arithmetic")
