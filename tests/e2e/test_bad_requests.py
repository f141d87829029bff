"""Requests that cannot work: one clear line, exit code 2 for usage and 1 for failure, nothing left behind."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import load, random_state, save
from command_line import assert_refused, contents

USAGE = {
    "unknown command": (["sopu", "a.st", "b.st"], "did you mean 'soup'?"),
    "unknown flag": (["soup", "a.st", "b.st", "--wieghts", "1,1"], "--weights"),
    "one model": (["soup", "a.st"], "at least 2 models"),
    "no model": (["soup"], "MODEL"),
    "no output": (["soup", "a.st", "b.st"], "-o OUT"),
    "too few weights": (["soup", "a.st", "b.st", "--weights", "1"], "1 value"),
    "too many weights": (["soup", "a.st", "b.st", "--weights", "1,2,3"], "3 value"),
    "a weight is no number": (["soup", "a.st", "b.st", "--weights", "1,x"], "'x'"),
    "an empty weight": (["soup", "a.st", "b.st", "--weights", "1,"], "''"),
    "a weight is nan": (["soup", "a.st", "b.st", "--weights", "1,nan"], "nan"),
    "a weight is infinite": (["soup", "a.st", "b.st", "--weights", "1,1e999"], "inf"),
    "weights that sum to 0": (["soup", "a.st", "b.st", "--weights", "1,-1", "--normalize"], "sum to 0"),
    "no base": (["ties", "a.st", "b.st"], "--base"),
    "density below 0": (["ties", "a.st", "--base", "b.st", "--density", "-0.1"], "--density"),
    "density above 1": (["ties", "a.st", "--base", "b.st", "--density", "1.5"], "density must be"),
    "density is no number": (["ties", "a.st", "--base", "b.st", "--density", "x"], "--density"),
    "unknown choice": (["ties", "a.st", "--base", "b.st", "--trim-scope", "tensr"], "did you mean 'tensor'?"),
    "unknown dtype": (["soup", "a.st", "b.st", "--dtype", "bfloat"], "did you mean"),
    "integer dtype": (["soup", "a.st", "b.st", "--dtype", "int8"], "int8"),
    "unknown policy": (["soup", "a.st", "b.st", "--missing", "skp"], "did you mean 'skip'?"),
    "unknown mismatch policy": (["soup", "a.st", "b.st", "--mismatch", "x"], "--mismatch"),
    "no size": (["soup", "a.st", "b.st", "--max-shard-size", "big"], "--max-shard-size"),
    "size 0": (["soup", "a.st", "b.st", "--max-shard-size", "0"], "no size"),
    "immense size": (["soup", "a.st", "b.st", "--max-shard-size", "9" * 400], "no size"),
    "no device": (["soup", "a.st", "b.st", "--device", "tpu"], "--device"),
    "no threads": (["soup", "a.st", "b.st", "--threads", "0"], "--threads"),
    "negative seed": (["soup", "a.st", "b.st", "--seed", "-1"], "--seed"),
    "a pattern that matches nothing": (["soup", "a.st", "b.st", "--keep", "nope.*"], "nope.*"),
    "a broken expression": (["soup", "a.st", "b.st", "--keep", "/(/"], "/(/"),
    "no recipe": (["run", "nothing.yaml"], "nothing.yaml"),
}


@pytest.mark.parametrize("case", USAGE)
def test_usage(cli, here, pair, case):
    arguments, word = USAGE[case]
    more = [] if case in {"no output", "unknown command", "no recipe"} else ["-o", "out.st"]
    before = contents(here)
    assert_refused(cli(*arguments, *more), 2, word)
    assert contents(here) == before


def test_no_gpu(cli, here, pair):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert_refused(cli("soup", *pair, "--device", "cuda", "-o", "out.st"), 2, "no CUDA device is visible")
    assert set(contents(here)) == {"a.st", "b.st"}


def changed(path, seed, **changes):
    state = random_state(seed) | changes
    return save(path, {name: tensor for name, tensor in state.items() if tensor is not None})


def test_shapes_that_differ(cli, here, pair):
    other = changed(here / "c.st", 3, **{"embed.weight": torch.zeros(41, 16, dtype=torch.bfloat16)})
    before = contents(here)
    assert_refused(cli("soup", pair[0], other, "-o", "out.st"), 1, "embed.weight", "[41, 16]", "[40, 16]", "--mismatch")
    assert contents(here) == before


def test_the_same_number_of_elements_in_another_shape(cli, here, pair):
    other = changed(here / "c.st", 3, **{"embed.weight": torch.zeros(16, 40, dtype=torch.bfloat16)})
    assert_refused(cli("soup", pair[0], other, "-o", "out.st"), 1, "embed.weight")


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_tensor_that_one_model_lacks(cli, here, pair, order):
    models = [pair[0], changed(here / "c.st", 3, **{"layers.1.norm": None})]
    before = contents(here)
    refused = cli("soup", *(models[number] for number in order), "-o", "out.st")
    assert_refused(refused, 1, "layers.1.norm", "c.st", "--missing")
    assert contents(here) == before


def test_other_models_altogether(cli, here, pair):
    other = save(here / "c.st", {f"other.{number}": torch.zeros(2) for number in range(50)})
    assert_refused(cli("soup", pair[0], other, "-o", "out.st"), 1, "more")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize("name", ["embed.weight", "scale", "layers.1.norm"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64, torch.float8_e5m2])
def test_infinities_and_nan_in_an_input(cli, here, dtype, name, value):
    one, two = random_state(1, torch.float32), random_state(2, torch.float32)
    two[name].reshape(-1)[-1] = float(value)
    paths = [save(here / f"{n}.st", {k: v.to(dtype) for k, v in s.items()}) for n, s in (("a", one), ("b", two))]
    before = contents(here)
    assert_refused(cli("soup", *paths, "-o", "out.st"), 1, f"'{name}'", "b.st", "--allow-nonfinite")
    assert contents(here) == before
    assert cli("soup", *paths, "-o", "out.st", "--allow-nonfinite").code == 0
    found = load(here / "out.st")[name].float().reshape(-1)
    torch.testing.assert_close(found[-1], torch.tensor(float(value)), equal_nan=True)
    assert torch.isfinite(found[:-1]).all()


def test_a_one_dimensional_bias_of_attention_may_hold_no_nan(cli, here):
    """`attn.bias` is a mask in GPT-2 and may hold infinities; a vector of that name is a parameter."""
    paths = [save(here / f"{n}.st", {"attn.bias": torch.tensor([1.0, n]).half()}) for n in (2.0, float("inf"))]
    assert_refused(cli("soup", *paths, "-o", "out.st"), 1, "attn.bias")


def test_masks_may_hold_infinities(cli, here):
    mask = torch.full((4, 4), float("-inf")).triu(1)
    paths = [save(here / f"{n}.st", {"text.attn_mask": mask, "w": torch.ones(2) * n}) for n in (1, 3)]
    assert cli("soup", *paths, "-o", "out.st").code == 0
    assert torch.equal(load(here / "out.st")["text.attn_mask"], mask)


@pytest.mark.parametrize("target", ["float16", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ"])
def test_an_overflow_in_the_output(cli, here, target):
    paths = [save(here / f"{n}.st", {"fine": torch.ones(9), "w": torch.tensor([1.0, 1e5])}) for n in "ab"]
    before = contents(here)
    assert_refused(cli("soup", *paths, "--dtype", target, "-o", "out.st"), 1, "'w'", "--allow-nonfinite")
    assert contents(here) == before


def test_an_overflow_while_adding(cli, here):
    paths = [save(here / f"{n}.st", {"w": torch.tensor([60000.0]).half()}) for n in "ab"]
    assert_refused(cli("soup", *paths, "--weights", "1,1", "-o", "out.st"), 1, "'w'", "--dtype")
    assert cli("soup", *paths, "--weights", "1,1", "--dtype", "float32", "-o", "out.st").code == 0
    assert load(here / "out.st")["w"].item() == 120000.0


def test_the_same_file_twice_warns(cli, here, pair):
    (here / "again.st").symlink_to(pair[0])
    for second in (pair[0], here / "again.st", here / "." / "a.st"):
        result = cli("soup", pair[0], second, "-o", "out.st", "--force")
        assert result.code == 0
        assert "more than once" in result.err


def test_integers_where_others_have_floats(cli, here, pair):
    other = changed(here / "c.st", 3, **{"layers.0.norm": torch.ones(16, dtype=torch.int32)})
    assert_refused(cli("soup", pair[0], other, "-o", "out.st"), 1, "layers.0.norm", "I32")


def test_traceback_on_request(cli, here, pair):
    with pytest.raises(Exception, match="at least 2"):
        cli("soup", pair[0], "-o", "out.st", "--traceback")


def test_quiet_and_json_keep_stdout_clean(cli, here, pair):
    import json

    assert cli("soup", *pair, "-o", "one.st", "--quiet").out == ""
    result = cli("soup", *pair, "-o", "two.st", "--json")
    assert json.loads(result.out)["out"] == "two.st"
    result = cli("soup", *pair, "-o", "three.st", "--json", "--dry-run")
    assert json.loads(result.out)["counts"]["merge"] == 7
    assert not (here / "three.st").exists()
