"""Statistics files that do not fit their models, or hold what no data gives, are refused."""

from __future__ import annotations

import pytest
import torch
from command_line import assert_refused
from safetensors import safe_open
from safetensors.torch import save_file
from statistics_case import BOTH, FACTS, NAMES, REGMEAN, facts, gram, grams

from merge.calibration.facts import Facts

REFUSED: dict[str, tuple[Facts | None, tuple[str, ...], int, str]] = {
    "none": (None, REGMEAN, 2, "needs Gram matrices of every model, and model 1 has none"),
    "one of two": (None, (*REGMEAN, *BOTH, "--gram", "gram-b.st"), 2, "--gram is given 3 times for 2 models"),
    "not there": (None, (*REGMEAN, "--gram", "gram-a.st", "--gram", "nothing.st"), 2, "nothing.st: no such file"),
    "another kind": (facts(kind="fisher"), (*REGMEAN, *BOTH), 2, "gram-b.st: holds fisher statistics, not gram"),
    "a method without": (None, ("soup", "a.st", "b.st", "-o", "out.st", "--gram", "gram-a.st"), 2, "No such option"),
    "options of computing": (
        None,
        (*REGMEAN, *BOTH, "--samples", "9"),
        2,
        "none are computed (leave it out, or give --data in place of --gram)",
    ),
    "broken metadata": (facts(), (*REGMEAN, "--gram", "broken.st"), 1, "'aliases' in the metadata is no JSON object"),
    "unknown tensor": (
        facts(aliases={"other.weight": "q.weight"}),
        (*REGMEAN, *BOTH),
        1,
        "gram-b.st: has statistics of 'other.weight', which its model lacks",
    ),
    "an alias to nothing": (
        facts(aliases={"k.weight": "v.weight"}),
        (*REGMEAN, *BOTH),
        1,
        "gram-b.st: 'aliases' in the metadata names 'v.weight', which the file lacks",
    ),
    "rows that are no number": (
        facts(rows={"q.weight": 2.5}),
        (*REGMEAN, *BOTH),
        1,
        "gram-b.st: 'rows' in the metadata gives 'q.weight' 2.5, which is no positive whole number",
    ),
    "rows below 1": (facts(rows={"q.weight": 0}), (*REGMEAN, *BOTH), 1, "'q.weight' 0, which is no positive whole"),
    "a layout that is none": (
        facts(layout={"proj": "round"}),
        (*REGMEAN, *BOTH),
        1,
        "'proj' 'round', which is no layout",
    ),
    "a checkpoint": (
        None,
        (*REGMEAN, "--gram", "gram-a.st", "--gram", "b.st"),
        2,
        "b.st: this looks like a checkpoint, not a statistics file (compute one with: merge calibrate gram)",
    ),
    "a checkpoint for fisher": (
        None,
        ("fisher", "a.st", "b.st", "-o", "out.st", "--fisher", "b.st"),
        2,
        "b.st: this looks like a checkpoint, not a statistics file",
    ),
    "statistics for a model": (
        None,
        ("soup", "a.st", "gram-a.st", "-o", "out.st"),
        2,
        "gram-a.st: this is a file of gram statistics, not a model",
    ),
    "files and data": (
        None,
        (*REGMEAN, *BOTH, "--data", "a.npz"),
        2,
        "--gram gives the statistics, and --data would compute them",
    ),
    "files for regmean-pp": (
        None,
        ("regmean-pp", "a.st", "b.st", *BOTH, "-o", "out.st"),
        2,
        "regmean-pp takes no --gram: it gathers its own from --data (merge regmean merges with files)",
    ),
    "another shape": (
        facts(layout={"conv.weight": "convolution"}),
        (*REGMEAN, *BOTH),
        1,
        "for different layouts: in_out, out_in",
    ),
    "another model": (facts(model="0" * 31 + "1"), (*REGMEAN, *BOTH), 1, "computed from another model than b.st"),
    "too few rows": (
        facts(rows={"q.weight": 1, "conv.weight": 54, "proj": 12}),
        (*REGMEAN, "--gram", "gram-b.st", "--gram", "gram-b.st", "--off-diagonal", "1"),
        2,
        "'q.weight': it has 4 inputs, but only 2 rows of data were seen",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_and_nothing_is_written(with_grams, cli, case):
    given, arguments, code, message = REFUSED[case]
    if given is not None:
        save_file(grams(1), with_grams / "gram-b.st", given.metadata())
    save_file(grams(1), with_grams / "broken.st", {"aliases": "no"})
    result = cli(*arguments)
    assert_refused(result, code, message)
    assert not (with_grams / "out.st").exists()


def test_gram_matrices_of_another_size_are_refused(with_grams, cli):
    save_file({"q.weight": gram(6, 0)}, with_grams / "gram-b.st", facts(layout={}).metadata())
    save_file({"q.weight": gram(4, 0)}, with_grams / "gram-a.st", facts(layout={}).metadata())
    result = cli(*REGMEAN, *BOTH)
    assert_refused(result, 1, "the statistics of 'q.weight' have shape [6, 6] instead of [4, 4]")


def test_swapped_files_are_found_before_anything_is_read(with_grams, cli):
    """Outputs of merges state their content id, so that their statistics are told apart from the headers."""
    for name in "ab":
        assert cli("passthrough", f"{name}.st", "-o", f"{name}{name}.st").code == 0
        identity = safe_open(with_grams / f"{name}{name}.st", "pt").metadata()["merge.output"]
        save_file(grams(0), with_grams / f"gram-{name}.st", facts(model=identity).metadata())
    swapped = ("--gram", "gram-b.st", "--gram", "gram-a.st")
    result = cli("regmean", "aa.st", "bb.st", *swapped, "-o", "out.st", "--dry-run")
    assert_refused(result, 1, "gram-b.st: these statistics were computed from another model than aa.st")


def test_mixed_grammar_errors_have_their_place(with_grams, cli):
    recipe = with_grams / "r.yaml"
    recipe.write_text("merge: soup\nmodels:\n  - {model: a.st, gram: gram-a.st}\n  - b.st\noutput: out.st\n")
    assert_refused(cli("run", "r.yaml"), 2, "r.yaml:3:5: soup takes no gram (leave it out; regmean does)")
    recipe.write_text("merge: regmean\nmodels:\n  - {model: a.st, grams: gram-a.st}\n  - b.st\noutput: out.st\n")
    assert_refused(cli("run", "r.yaml"), 2, "regmean has no option 'grams' per model (did you mean 'gram'?)")
    both = "merge: regmean\nmodels:\n  - {model: a.st, gram: gram-a.st, data: a.npz}\n  - {model: b.st, data: b.npz}\n"
    recipe.write_text(f"{both}output: out.st\n")
    assert_refused(cli("run", "r.yaml"), 2, "r.yaml:3:5: model 1 has both gram and data")
    recipe.write_text("merge: soup\ndata: d.yaml\nmodels: [a.st, b.st]\noutput: out.st\n")
    assert_refused(cli("run", "r.yaml"), 2, "soup takes no data")
    text = "merge: regmean\nmodels:\n  - {model: a.st, gram: gram-a.st}\n  - {model: b.st, gram: gram-b.st}\n"
    recipe.write_text(f"{text}options:\n  samples: 9\noutput: out.st\n")
    assert_refused(cli("run", "r.yaml"), 2, "r.yaml:6:3: 'samples' is for computing statistics")


def _spoiled(tensor: torch.Tensor, place: tuple[int, ...], value: float) -> torch.Tensor:
    tensor = tensor.clone()
    tensor[place] = value
    return tensor


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((1, 2), float("nan"), "hold an infinity or NaN"),
        ((1, 2), float("inf"), "hold an infinity or NaN"),
        ((2, 2), -0.1, "have a negative number on the diagonal"),
        ((1, 2), 7.0, "are not symmetric"),
    ],
)
def test_matrices_that_are_no_gram_matrices_are_refused(with_grams, cli, place, value, message):
    spoiled = grams(1) | {"q.weight": _spoiled(grams(1)["q.weight"], place, value)}
    save_file(spoiled, with_grams / "gram-b.st", FACTS.metadata())
    assert_refused(cli(*REGMEAN, *BOTH, "--quiet"), 1, f"gram-b.st: the statistics of 'q.weight' {message}")
    assert not (with_grams / "out.st").exists()


def test_rounding_does_not_spoil_symmetry(with_grams, cli):
    matrix = grams(1)["q.weight"]
    save_file(
        grams(1) | {"q.weight": _spoiled(matrix, (1, 2), float(matrix[1, 2]) + 1e-7)},
        with_grams / "gram-b.st",
        FACTS.metadata(),
    )
    assert cli(*REGMEAN, *BOTH).code == 0


def test_fisher_information_that_is_not_finite_is_named(with_grams, cli):
    for name in "ab":
        information = {tensor: torch.ones(shape) for tensor, shape in NAMES.items()}
        save_file(information, with_grams / f"fisher-{name}.st", Facts("fisher").metadata())
    information["k.weight"][1, 1] = float("nan")
    save_file(information, with_grams / "fisher-b.st", Facts("fisher").metadata())
    arguments = (
        "fisher",
        "a.st",
        "b.st",
        "--fisher",
        "fisher-a.st",
        "--fisher",
        "fisher-b.st",
        "-o",
        "out.st",
        "--quiet",
    )
    wanted = "fisher-b.st: the statistics of 'k.weight' hold an infinity or NaN"
    assert_refused(cli(*arguments), 1, wanted)
    assert_refused(cli(*arguments, "--allow-nonfinite"), 1, wanted)
    assert_refused(cli(*arguments, "--no-normalize"), 1, "fisher-b.st: tensor 'k.weight' holds an infinity or NaN")
