"""Requests that PLeaS cannot serve: one clear message, and nothing left behind."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import load, save
from command_line import assert_refused
from pleas_networks import classes_of, seeded

from merge import merge_state_dicts
from merge.cli import main
from merge.errors import UsageError


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Three small networks, one with other outputs, and what is known of the first two."""
    folder = tmp_path_factory.mktemp("small")
    found = classes_of(folder)
    for seed, name in enumerate("abc"):
        save(folder / f"{name}.st", seeded(found["Small"], seed).state_dict())
    save(folder / "seven.st", seeded(lambda: found["Small"](7), 4).state_dict())
    save(folder / "conv.st", seeded(found["Convolutional"], 5).state_dict())
    save(folder / "conv2.st", seeded(found["Convolutional"], 6).state_dict())
    for seed, name in enumerate(("n1", "n2")):
        save(folder / f"{name}.st", seeded(found["Normed"], seed).state_dict())
    given = ["pleas", str(folder / "a.st"), str(folder / "b.st"), "--model", f"{folder / 'net.py'}:Small", "--quiet"]
    assert main([*given, "--stand-in", "--samples", "64", "-o", str(folder / "ab.st")]) == 0
    return folder


def pleas(cli, folder, *arguments, model="Small"):
    shown = [folder / one if str(one).endswith((".st", ".safetensors")) else one for one in arguments]
    running = ("--model", f"{folder / 'net.py'}:{model}") if model else ()
    return cli("pleas", *shown, *running, "-o", folder / "new" / "out.st")


JOINT = ("--joint", "ab.st.statistics/joint.safetensors")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("a.st", "b.st", *JOINT, "--budget", "1.5"), 2, ("budget must be >= 0 and <= 1",)),
        (("a.st", "b.st", *JOINT, "--budget", "nan"), 2, ("budget must be",)),
        (("a.st", "b.st", *JOINT, "--allocation", "evn"), 2, ("allocation must be one of", "did you mean 'even'")),
        (("a.st", "b.st", "c.st", *JOINT), 2, ("exactly 2 models",)),
        (("a.st", *JOINT), 2, ("exactly 2 models",)),
        (("a.st", "a.st", *JOINT), 2, ("both models are the same file",)),
        (("a.st", "b.st"), 2, ("needs data", "--data SPEC", "--stand-in")),
        (("a.st", "b.st", "--stand-in", "--data", "builtin:digits"), 2, ("data, and stand-ins",)),
        (("a.st", "b.st", *JOINT, "--data", "builtin:digits"), 2, ("give one of them",)),
        (("a.st", "b.st", *JOINT, "--samples", "3"), 2, ("none are computed",)),
        (("a.st", "c.st", *JOINT), 1, ("another model than", "c.st")),
        (("b.st", "a.st", *JOINT), 1, ("another model than", "b.st")),
        (("a.st", "b.st", "--joint", "a.st"), 2, ("looks like a checkpoint",)),
        (("a.st", "b.st", "--joint", "nope.st"), 2, ("no such file",)),
        (("a.st", JOINT[1], *JOINT), 2, ("joint statistics, not a model",)),
        (("a.st", "conv.st", "--stand-in"), 1, ("missing here", "widths or depths")),
        (("a.st", "b.st", *JOINT, "--keep", "head*"), 2, ("takes no keep",)),
        (("a.st", "b.st", *JOINT, "--mismatch", "base"), 2, ("takes no mismatch",)),
        (("a.st", "b.st", *JOINT, "--base", "c.st"), 2, ("takes no base",)),
        (("a.st", "seven.st", "--stand-in", "--heads", "merged"), 2, ("7 outputs", "cannot be averaged")),
    ],
)
def test_refusals(cli, small, arguments, code, words):
    result = pleas(cli, small, *arguments, model=None if "--joint" in arguments else "Small")
    notes = [line for line in (result.err + result.out).splitlines() if line.startswith("note: ")]
    told = result._replace(out="", err="\n".join(line for line in result.err.splitlines() if line not in notes))
    assert_refused(told, code, *words)
    assert not (small / "new" / "out.st").exists()


@pytest.mark.parametrize(
    "given", [("--stand-in", "--quiet"), ("--stand-in", "--matching", "activations", "--quiet"), JOINT]
)
@pytest.mark.parametrize("models", [("broken.st", "b.st"), ("a.st", "broken.st")])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named_before_any_model_runs(cli, small, given, models, value):
    """A bias of the outputs, which no comparison of units would look at."""
    state = load(small / ("b.st" if models[1] == "broken.st" else "a.st"))
    state["head.bias"][2] = value
    save(small / "broken.st", state)
    result = pleas(cli, small, *models, *given, "--quiet", model=None if given == JOINT else "Small")
    assert_refused(result, 1, "broken.st: 'head.bias' holds NaN or infinities")
    assert not (small / "new" / "out.st").exists()


def test_nothing_that_can_be_widened(cli, small):
    given = ("n1.st", "n2.st", "--stand-in", "--samples", "64")
    refused = pleas(cli, small, *given, "--budget", "0.5", model="Normed")
    assert refused.code == 2
    assert "no group of units of these models can be widened" in refused.err
    assert "--budget 0" in refused.err


def test_other_label_spaces_are_kept_apart(cli, small, tmp_path):
    running = ("--model", f"{small / 'net.py'}:Small")
    result = cli("pleas", small / "a.st", small / "seven.st", "--stand-in", *running, "-o", tmp_path / "o.st")
    assert result.code == 0, result.err
    assert load(tmp_path / "o.st")["head.weight"].shape[0] == 12
    assert '"outputs": [[0, 4], [5, 11]]' in cli("inspect", tmp_path / "o.st").out


def test_a_dry_run_runs_no_model(cli, small, tmp_path):
    given = (small / "a.st", small / "b.st", "-o", tmp_path / "o.st", "--dry-run")
    before = cli("pleas", *given, "--stand-in")
    assert before.code == 0, before.err
    assert "to be computed: what" in before.out
    after = cli("pleas", *given, "--joint", small / JOINT[1], "--budget", "1")
    assert after.code == 0, after.err
    assert "44 of 44 pairs of units stay apart" in after.out
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_tells_of_much_memory(cli, small, tmp_path):
    for name in "xy":
        filters = {"filter.weight": torch.zeros(2, 900, 3, 3)}
        save(tmp_path / f"{name}.st", {"wide.weight": torch.zeros(2, 8000), "embed.bias": torch.zeros(9000), **filters})
    given = ("pleas", tmp_path / "x.st", tmp_path / "y.st", "--stand-in", "-o", tmp_path / "o.st", "--dry-run")
    told = "8 bytes for each pair of inputs of a matrix"
    both, matrices = 8 * (16_200**2 + 16_000**2), 8 * 16_000**2
    assert f"takes up to {both / 1e9:.3g} GB of memory, {told}; --no-convolutions: up to {matrices / 1e9:.3g} GB" in (
        cli(*given).out
    )
    assert f"takes up to {matrices / 1e9:.3g} GB of memory, {told}\n" in cli(*given, "--no-convolutions").out
    assert told not in cli("pleas", small / "a.st", small / "b.st", "--stand-in", *given[4:]).out


def test_help_leaves_out_what_is_refused(cli):
    shown = cli("pleas", "--help").out
    assert not [flag for flag in ("--base", "--keep", "--missing", "--mismatch") if f"{flag} " in shown]
    assert "--joint " in shown
    assert "--base " in cli("soup", "--help").out


def test_the_output_type_and_16_bit_members(cli, small, tmp_path):
    for name in "ab":
        save(tmp_path / f"{name}.st", {key: one.bfloat16() for key, one in load(small / f"{name}.st").items()})
    given = ("pleas", tmp_path / "a.st", tmp_path / "b.st", "--model", f"{small / 'net.py'}:Small", "--stand-in")
    assert cli(*given, "--budget", "1", "-o", tmp_path / "half.st").code == 0
    half = load(tmp_path / "half.st")
    assert {one.dtype for one in half.values()} == {torch.bfloat16}
    first = load(tmp_path / "a.st")["second.weight"]
    assert torch.equal(half["second.weight"][:20, :24], first)
    assert cli(*given, "--budget", "1", "--dtype", "float32", "-o", tmp_path / "whole.st", "--force").code == 0
    assert {one.dtype for one in load(tmp_path / "whole.st").values()} == {torch.float32}


def test_the_same_bytes_for_any_threads(cli, small, tmp_path):
    given = ("pleas", small / "a.st", small / "b.st", "--joint", small / JOINT[1], "--budget", "0.3")
    for threads in (1, 3):
        assert cli(*given, "--threads", threads, "-o", tmp_path / f"{threads}.st").code == 0
    assert (tmp_path / "1.st").read_bytes() == (tmp_path / "3.st").read_bytes()


def test_batch_norm_statistics_are_widened_too(cli, small, tmp_path):
    running = ("--model", f"{small / 'net.py'}:Convolutional")
    given = (small / "conv.st", small / "conv2.st", "--stand-in", "--samples", "16", *running)
    result = cli("pleas", *given, "--budget", "1", "--convolutions", "-o", tmp_path / "o.st")
    assert result.code == 0, result.err
    found = load(tmp_path / "o.st")
    one, two = (load(small / name)["norm.running_var"] for name in ("conv.st", "conv2.st"))
    assert torch.equal(found["norm.running_var"][:6], one)
    assert torch.equal(found["norm.running_var"][6:].sort().values, two.sort().values)


def test_models_in_memory_are_refused(small):
    states = [load(small / f"{name}.st") for name in "ab"]
    with pytest.raises(UsageError, match="pleas merges models in files"):
        merge_state_dicts(states, method="pleas")


def test_it_is_no_part_of_another_merge(cli, small):
    both = ", ".join(f"{{model: {name}.st, joint: {JOINT[1]}}}" for name in "ab")
    (small / "nested.yaml").write_text(f"merge: soup\nmodels: [c.st, {{merge: pleas, models: [{both}]}}]\n")
    assert_refused(cli("run", small / "nested.yaml", "-o", small / "new.st"), 2, "cannot be part of a merge")


def test_a_recipe_names_the_place_of_a_mistake(cli, small):
    text = f"merge: pleas\nmodels:\n  - {{model: a.st, joint: {JOINT[1]}}}\n  - b.st\n"
    (small / "half.yaml").write_text(text)
    assert_refused(cli("run", small / "half.yaml", "-o", small / "new.st"), 2, "one joint file of both models")
    text = "merge: pleas\nmodels: [a.st, b.st]\noptions:\n  budget: 2\n"
    (small / "much.yaml").write_text(text)
    assert_refused(cli("run", small / "much.yaml", "-o", small / "new.st"), 2, "much.yaml:4:3", "budget must be")
