"""The commands around checkpoints: verify, inspect, diff, cast; and new, methods, schema."""

from __future__ import annotations

import json
import math
import shutil

import pytest
import torch
from checkpoint_files import assert_same, load, metadata_of, random_state, save
from command_line import assert_refused, contents

from merge.bundles.rules import rule_names
from merge.registry import method_names


@pytest.mark.parametrize("method", ["soup", "ties", "task-arithmetic"])
@pytest.mark.parametrize("out", ["out.st", "out"])
def test_a_merge_verifies(cli, here, trio, method, out):
    base = ("--base", "base.st") if method != "soup" else ()
    assert cli(method, "a.st", "b.st", *base, "-o", out).code == 0
    before = contents(here)
    result = cli("verify", out, "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["repeats"] is True
    assert contents(here) == before
    assert "repeat" in cli("verify", out).out


def flip_last_byte(path):
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def test_a_changed_output_does_not_verify(cli, here, pair):
    assert cli("soup", *pair, "-o", "out.st").code == 0
    flip_last_byte(here / "out.st")
    result = cli("verify", "out.st", "--json")
    found = json.loads(result.out)
    assert (result.code, found["repeats"]) == (1, False)
    assert len(found["differing_tensors"]) == 1


def test_a_changed_input_is_named(cli, here, pair):
    assert cli("soup", *pair, "-o", "out.st").code == 0
    save(here / "b.st", random_state(99))
    result = cli("verify", "out.st", "--json")
    assert result.code == 1
    assert any("b.st" in location for location in json.loads(result.out)["changed_inputs"])


def test_a_changed_input_is_named_though_the_output_repeats(cli, here, pair):
    assert cli("soup", *pair, "--weights", "1,0", "-o", "out.st").code == 0
    save(here / "b.st", random_state(99))
    result = cli("verify", "out.st")
    assert result.code == 0
    assert "out.st repeats" in result.out
    assert result.err.startswith("warning: input changed since")
    assert result.err.count("\n") == 1
    assert "b.st" in result.err


def test_a_lost_card_is_missed(cli, here, pair):
    assert cli("soup", *pair, "-o", "out.st").code == 0
    (here / "out.st.md").unlink()
    assert_refused(cli("verify", "out.st"), 1, "out.st.md", "no model card", "--force")


def test_a_verified_recipe_with_everything_in_it(cli, here, trio):
    recipe = """
    merge: ties
    base: base.st
    models:
      - {merge: soup, models: [{model: a.st, weight: 0.25}, {model: b.st, weight: 0.75}]}
      - {model: b.st, weight: -0.5}
    options: {density: 0.4}
    layers:
      - {match: "layers.*.w", options: {density: [0.2, 0.6]}}
      - {match: "embed.*", keep: base}
    keep: ["layers.0.norm"]
    output: {path: out.st, dtype: float16}
    """
    (here / "recipe.yaml").write_text(recipe)
    assert cli("run", "recipe.yaml").code == 0
    result = cli("verify", "out.st")
    assert result.code == 0, result.out + result.err


def test_a_tree_that_moves_as_a_whole_still_verifies(cli, here, pair):
    assert cli("soup", *pair, "-o", "out.st").code == 0
    (here / "moved").mkdir()
    for path in list(here.glob("*.st*")):
        shutil.move(path, here / "moved" / path.name)
    result = cli("verify", "moved/out.st")
    assert result.code == 0, result.out + result.err


def test_what_cannot_be_verified(cli, here, pair):
    assert_refused(cli("verify", "a.st"), 1, "a.st")
    refused = cli("verify", "nope.st")
    assert refused.code in {1, 2}
    assert refused.err.startswith("merge: ")


def test_inspect(cli, here):
    values = torch.tensor([3.0, -4.0, 0.0])
    save(here / "a.st", {"w": values, "n": torch.tensor([1, 2])}, {"who": "me"})
    found = json.loads(cli("inspect", "a.st", "--json").out)
    by_name = {tensor["name"]: tensor for tensor in found["tensors"]}
    assert (found["parameters"], found["metadata"]["who"]) == (3, "me")
    assert (by_name["w"]["dtype"], by_name["w"]["shape"]) == ("F32", [3])
    assert (by_name["w"]["l2_norm"], by_name["w"]["minimum"], by_name["w"]["maximum"]) == (5, -4, 3)
    text = cli("inspect", "a.st").out
    assert "w" in text
    assert "me" in text


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.float8_e4m3fn, torch.float8_e5m2]
)
def test_inspect_counts_what_is_not_finite(cli, here, dtype):
    save(
        here / "a.st",
        {"w": torch.tensor([1.0, float("nan"), 2.0, float("nan")]).to(dtype), "e": torch.ones(3).to(dtype)},
    )
    result = cli("inspect", "a.st", "--json")
    assert result.code == 0, result.err
    assert {tensor["name"]: tensor["nonfinite"] for tensor in json.loads(result.out)["tensors"]} == {"w": 2, "e": 0}


def test_diff_by_hand(cli, here):
    for name, value in (("base", [0.0, 0.0]), ("a", [3.0, 4.0]), ("b", [3.0, -4.0])):
        save(here / f"{name}.st", {"w": torch.tensor(value)})
    found = json.loads(cli("diff", "a.st", "b.st", "--base", "base.st", "--json").out)
    (tensor,) = found["tensors"]
    assert not found["identical"]
    assert tensor["largest"] == 8
    assert math.isclose(tensor["cosine"], (9 - 16) / 25)
    assert math.isclose(tensor["task_cosine"], (9 - 16) / 25)
    assert tensor["sign_conflicts"] == 0.5
    assert math.isclose(tensor["relative_l2"], 8 / 5)


def test_diff_of_equals_and_strangers(cli, here, pair):
    shutil.copy(pair[0], here / "copy.st")
    assert json.loads(cli("diff", "a.st", "copy.st", "--json").out)["identical"] is True
    save(here / "other.st", {"x": torch.ones(2)})
    found = json.loads(cli("diff", "a.st", "other.st", "--json").out)
    assert found["only_in_b"] == ["x"]
    assert "embed.weight" in found["only_in_a"]
    assert cli("diff", "a.st", "other.st").code == 0


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "bf16"])
def test_cast(cli, here, pair, dtype):
    result = cli("cast", "a.st", "-o", "out.st", "--dtype", dtype)
    assert result.code == 0, result.err
    target = {"bf16": torch.bfloat16}.get(dtype) or getattr(torch, dtype)
    wanted = {n: t.to(target) if t.is_floating_point() else t for n, t in random_state(0).items()}
    assert_same(load(here / "out.st"), wanted)
    assert cli("verify", "out.st").code == 0


def test_cast_without_a_type_only_moves_bytes(cli, here, pair):
    assert cli("cast", "a.st", "-o", "out", "--max-shard-size", "600").code == 0
    assert_same(load(here / "out"), random_state(0))
    assert len(list((here / "out").glob("*.safetensors"))) > 1
    assert (here / "out" / "model.safetensors.index.json").exists()


def test_cast_refuses_what_a_merge_refuses(cli, here, pair):
    assert_refused(cli("cast", "a.st", "-o", "a.st", "--force"), 2, "one of the inputs")
    assert_refused(cli("cast", "a.st"), 2, "-o OUT")
    assert_refused(cli("cast", "nope.st", "-o", "out.st"), 2, "nope.st")
    assert set(contents(here)) == {"a.st", "b.st"}


def test_methods_lists_every_method_and_option(cli):
    text = cli("methods").out
    for method in [*method_names(), *rule_names()]:
        assert method in text
        assert "arXiv" in cli("methods", method).out
    found = json.loads(cli("methods", "--json").out)
    assert [method["name"] for method in found] == [*method_names(), *rule_names()]
    assert_refused(cli("methods", "tise"), 2, "did you mean 'ties'?")
    assert_refused(cli("new", "tise"), 2, "did you mean 'ties'?")


def test_schema_accepts_sound_recipes_and_refuses_others(cli):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(cli("schema").out)
    jsonschema.validators.validator_for(schema).check_schema(schema)
    sound = {
        "merge": "ties",
        "base": "x",
        "models": ["a", {"model": "b", "weight": 2}],
        "options": {"density": [0.1, 0.2]},
    }
    jsonschema.validate(sound, schema)
    for wrong in (
        {},
        sound | {"bsae": 1},
        sound | {"options": {"density": 2}},
        sound | {"missing": "no"},
        sound | {"models": 3},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_json_of_commands_matches_its_published_schema(cli, here, trio):
    jsonschema = pytest.importorskip("jsonschema")
    assert cli("soup", "a.st", "b.st", "-o", "out.st").code == 0
    cases = {
        "inspect": ["inspect", "a.st"],
        "diff": ["diff", "a.st", "b.st", "--base", "base.st"],
        "verify": ["verify", "out.st"],
        "plan": ["soup", "a.st", "b.st", "-o", "next.st", "--dry-run"],
    }
    for name, arguments in cases.items():
        schema = json.loads(cli("schema", name).out)
        jsonschema.validate(json.loads(cli(*arguments, "--json").out), schema)


def test_the_card_is_a_recipe_that_runs_again(cli, here, pair):
    from merge.card import recipe_text

    assert cli("soup", *pair, "--weights", "0.3,0.7", "-o", "out.st").code == 0
    (here / "again.yaml").write_text(recipe_text(here / "out.st.md", "out.st.md"))
    assert cli("run", "again.yaml", "-o", "again.st").code == 0
    assert_same(load(here / "again.st"), load(here / "out.st"))
    assert metadata_of(here / "again.st")["merge.output"] == metadata_of(here / "out.st")["merge.output"]
