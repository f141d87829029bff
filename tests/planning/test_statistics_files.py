"""Statistics files as inputs of a merge: matched, checked, recorded, and refused where they do not fit."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from checkpoint_files import load, save
from command_line import assert_refused
from safetensors import safe_open
from safetensors.torch import save_file

from merge.calibration.facts import Facts

NAMES = {"q.weight": (6, 4), "k.weight": (3, 4), "conv.weight": (5, 2, 3, 3), "proj": (4, 6), "bias": (6,)}


def state(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in NAMES.items()}


def gram(inputs: int, seed: int) -> torch.Tensor:
    rows = torch.randn(3 * inputs, inputs, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return rows.T @ rows / len(rows)


def grams(seed: int) -> dict[str, torch.Tensor]:
    return {"q.weight": gram(4, seed), "conv.weight": gram(18, seed), "proj": gram(4, seed + 9)}


FACTS = Facts(
    "gram",
    aliases={"k.weight": "q.weight"},
    layout={"proj": "in_out", "conv.weight": "convolution"},
    rows={"q.weight": 12, "conv.weight": 54, "proj": 12},
    about={"seed": 3},
)


REGMEAN = ("regmean", "a.st", "b.st", "-o", "out.st")
BOTH = ("--gram", "gram-a.st", "--gram", "gram-b.st")


@pytest.fixture
def work(here: Path) -> Path:
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", state(seed))
        save_file(grams(seed), here / f"gram-{name}.st", FACTS.metadata())
    return here


def merged(cli, *flags: object) -> dict:
    result = cli(
        "regmean", "a.st", "b.st", "--gram", "gram-a.st", "--gram", "gram-b.st", "-o", "out.st", "--json", *flags
    )
    assert result.code == 0, result.err
    return json.loads(result.out)


def solved(first: torch.Tensor, second: torch.Tensor, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """Return plain least squares for matrices [outputs, inputs], by an inverse."""
    return (torch.linalg.inv(left + right) @ (left @ first.double().T + right @ second.double().T)).T


def close(found: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-5)


def test_aliases_and_layouts(work, cli):
    document = merged(cli, "--off-diagonal", 1)
    found, (a, b), (left, right) = load(work / "out.st"), (state(0), state(1)), (grams(0), grams(1))
    for name, own in (("q.weight", "q.weight"), ("k.weight", "q.weight")):
        torch.testing.assert_close(
            found[name].double(), solved(a[name], b[name], left[own], right[own]), rtol=1e-6, atol=1e-6
        )
    wanted = solved(a["proj"].T, b["proj"].T, left["proj"], right["proj"]).T
    torch.testing.assert_close(found["proj"].double(), wanted, rtol=1e-6, atol=1e-6)
    wanted = solved(a["conv.weight"].flatten(1), b["conv.weight"].flatten(1), left["conv.weight"], right["conv.weight"])
    torch.testing.assert_close(found["conv.weight"].flatten(1).double(), wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(found["bias"], (a["bias"] + b["bias"]) / 2)
    ledger = {row["tensor"]: row for row in document["statistics"]["tensors"]}
    assert document["statistics"]["counts"] == {"regressed": 4, "averaged": 1}
    assert ledger["k.weight"]["rows"] == 24
    assert ledger["conv.weight"]["condition"] > 1
    assert ledger["bias"]["why"] == "no statistics of it"
    assert [file["about"] for file in document["statistics"]["files"]] == [{"seed": 3}] * 2


def test_the_ledger_tells_the_reason_that_the_files_record(work, cli):
    reason = "without a place of its own in the network"
    layout = {"proj": "in_out"}
    rows = {"q.weight": 12, "proj": 12}
    metadata = replace(FACTS, layout=layout, rows=rows, about={"left_out": {"conv.weight": reason}}).metadata()
    for seed, name in enumerate("ab"):
        found = grams(seed)
        del found["conv.weight"]
        save_file(found, work / f"gram-{name}.st", metadata)
    ledger = {row["tensor"]: row for row in merged(cli)["statistics"]["tensors"]}
    assert (ledger["conv.weight"]["treatment"], ledger["conv.weight"]["why"]) == ("averaged", reason)
    assert ledger["bias"]["why"] == "no statistics of it"


def test_the_merge_records_content_ids_of_statistics_and_repeats(work, cli):
    document = merged(cli)
    with safe_open(work / "out.st", "pt") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["merge.inputs"]) == [one["content_id"] for one in document["inputs"]]
    recipe = json.loads(metadata["merge.recipe"])
    assert [model["gram"] for model in recipe["models"]] == [one["content_id"] for one in document["inputs"][2:]]
    assert metadata["merge.data_use"] == "unlabeled"
    assert "gram: ./gram-a.st" in (work / "out.st.md").read_text()
    assert cli("verify", "out.st").code == 0
    save_file(grams(5), work / "gram-b.st", FACTS.metadata())
    assert cli("verify", "out.st").code == 1


def test_bytes_do_not_depend_on_threads_and_a_killed_merge_goes_on(work, cli):
    merged(cli)
    before = (work / "out.st").read_bytes()
    merged(cli, "--force", "--threads", 3)
    assert (work / "out.st").read_bytes() == before


def test_a_recipe_names_statistics_beside_its_models(work, cli):
    merged(cli)
    text = "merge: regmean\nmodels:\n  - {model: a.st, gram: gram-a.st}\n  - {model: b.st, gram: gram-b.st}\n"
    (work / "r.yaml").write_text(f"{text}output: same.st\n")
    assert cli("run", "r.yaml").code == 0
    assert (work / "same.st").read_bytes() == (work / "out.st").read_bytes()


def test_the_matrix_of_an_expert_that_saw_no_row_in_one_model_is_averaged(work, cli):
    fewer = {name: tensor for name, tensor in grams(1).items() if name != "proj"}
    save_file(
        fewer, work / "gram-b.st", Facts("gram", aliases={"k.weight": "q.weight"}, layout=FACTS.layout).metadata()
    )
    document = merged(cli)
    assert document["statistics"]["counts"] == {"regressed": 3, "averaged": 2}
    torch.testing.assert_close(load(work / "out.st")["proj"], (state(0)["proj"] + state(1)["proj"]) / 2)


def facts(**more: object) -> Facts:
    return Facts(**{"kind": "gram", "layout": FACTS.layout, **more})  # type: ignore[arg-type]


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
def test_what_does_not_fit_is_refused_and_nothing_is_written(work, cli, case):
    given, arguments, code, message = REFUSED[case]
    if given is not None:
        save_file(grams(1), work / "gram-b.st", given.metadata())
    save_file(grams(1), work / "broken.st", {"aliases": "no"})
    result = cli(*arguments)
    assert_refused(result, code, message)
    assert not (work / "out.st").exists()


def test_gram_matrices_of_another_size_are_refused(work, cli):
    save_file({"q.weight": gram(6, 0)}, work / "gram-b.st", facts(layout={}).metadata())
    save_file({"q.weight": gram(4, 0)}, work / "gram-a.st", facts(layout={}).metadata())
    result = cli(*REGMEAN, *BOTH)
    assert_refused(result, 1, "the statistics of 'q.weight' have shape [6, 6] instead of [4, 4]")


def test_swapped_files_are_found_before_anything_is_read(work, cli):
    """Outputs of merges state their content id, so that their statistics are told apart from the headers."""
    for name in "ab":
        assert cli("passthrough", f"{name}.st", "-o", f"{name}{name}.st").code == 0
        identity = safe_open(work / f"{name}{name}.st", "pt").metadata()["merge.output"]
        save_file(grams(0), work / f"gram-{name}.st", facts(model=identity).metadata())
    swapped = ("--gram", "gram-b.st", "--gram", "gram-a.st")
    result = cli("regmean", "aa.st", "bb.st", *swapped, "-o", "out.st", "--dry-run")
    assert_refused(result, 1, "gram-b.st: these statistics were computed from another model than aa.st")


def test_mixed_grammar_errors_have_their_place(work, cli):
    (work / "r.yaml").write_text("merge: soup\nmodels:\n  - {model: a.st, gram: gram-a.st}\n  - b.st\noutput: out.st\n")
    assert_refused(cli("run", "r.yaml"), 2, "r.yaml:3:5: soup takes no gram (leave it out; regmean does)")
    (work / "r.yaml").write_text(
        "merge: regmean\nmodels:\n  - {model: a.st, grams: gram-a.st}\n  - b.st\noutput: out.st\n"
    )
    assert_refused(cli("run", "r.yaml"), 2, "regmean has no option 'grams' per model (did you mean 'gram'?)")
    both = "merge: regmean\nmodels:\n  - {model: a.st, gram: gram-a.st, data: a.npz}\n  - {model: b.st, data: b.npz}\n"
    (work / "r.yaml").write_text(f"{both}output: out.st\n")
    assert_refused(cli("run", "r.yaml"), 2, "r.yaml:3:5: model 1 has both gram and data")
    (work / "r.yaml").write_text("merge: soup\ndata: d.yaml\nmodels: [a.st, b.st]\noutput: out.st\n")
    assert_refused(cli("run", "r.yaml"), 2, "soup takes no data")
    text = "merge: regmean\nmodels:\n  - {model: a.st, gram: gram-a.st}\n  - {model: b.st, gram: gram-b.st}\n"
    (work / "r.yaml").write_text(f"{text}options:\n  samples: 9\noutput: out.st\n")
    assert_refused(cli("run", "r.yaml"), 2, "r.yaml:6:3: 'samples' is for computing statistics")


def test_a_tied_tensor_counts_once_in_the_norm(here, cli):
    """A checkpoint that stores both names of a tied tensor merges like one that stores one."""
    draw = torch.Generator().manual_seed(0)
    for name in "ab":
        state = {"embed.weight": torch.randn(4, 3, generator=draw), "w": torch.randn(5, generator=draw)}
        fisher = {tensor: torch.rand(one.shape, generator=draw) for tensor, one in state.items()}
        save(here / f"{name}1.st", state)
        save(here / f"{name}2.st", {**state, "head.weight": state["embed.weight"].clone()})
        save_file(fisher, here / f"fisher-{name}1.st", Facts("fisher").metadata())
        tied = Facts("fisher", aliases={"head.weight": "embed.weight"})
        save_file(fisher, here / f"fisher-{name}2.st", tied.metadata())
    for number in "12":
        files = [part for name in "ab" for part in ("--fisher", f"fisher-{name}{number}.st")]
        result = cli("fisher", f"a{number}.st", f"b{number}.st", *files, "-o", f"out{number}.st")
        assert result.code == 0, result.err
    once, twice = load(here / "out1.st"), load(here / "out2.st")
    assert all(torch.equal(once[name], twice[name]) for name in once)
    assert torch.equal(twice["head.weight"], twice["embed.weight"])


def test_weights_that_do_not_sum_to_one_get_a_warning(work, cli):
    assert "the weights sum to 3" in cli(*REGMEAN, *BOTH, "--weights", "2,1").err


def test_only_one_models_gram_matrix_is_in_memory(here):
    """Peak memory grows with the number of models by their weights, not by their Gram matrices."""
    size = 1024
    save_file({"w": torch.eye(size) + 0.1}, here / "g.st", Facts("gram").metadata())
    peaks = []
    for count in (2, 8):
        names = [f"{number}.st" for number in range(count)]
        for number, name in enumerate(names):
            save(here / name, {"w": torch.full((2, size), float(number + 1))})
        script = (
            "import resource, sys; from merge.cli import main; code = main(sys.argv[1:]); "
            "print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss); sys.exit(code)"
        )
        arguments = ["regmean", *names, "--gram", "g.st", "-o", f"out{count}.st", "--threads", "1", "--quiet"]
        command = [sys.executable, "-c", script, *arguments]
        found = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stderr
        peaks.append(int(found.stdout.split()[-1]))
    one_gram = size * size * 8 // 1024
    assert peaks[1] - peaks[0] < 2 * one_gram


def test_files_that_do_not_name_their_model_are_taken_with_a_warning(work, cli):
    result = cli(*REGMEAN, *BOTH)
    assert result.code == 0, result.err
    assert "warning: gram-b.st does not say which model it was computed from" in result.err


def test_a_stated_model_is_not_warned_about_unless_it_is_a_nested_merge(work, cli):
    for name in "ab":
        assert cli("passthrough", f"{name}.st", "-o", f"{name}{name}.st").code == 0
        identity = safe_open(work / f"{name}{name}.st", "pt").metadata()["merge.output"]
        save_file(grams(0), work / f"gram-{name}.st", facts(model=identity).metadata())
    result = cli("regmean", "aa.st", "bb.st", *BOTH, "-o", "out.st")
    assert (result.code, result.err) == (0, "")
    nested = "{model: {merge: soup, models: [aa.st, bb.st]}, gram: gram-a.st}"
    (work / "r.yaml").write_text(f"merge: regmean\nmodels:\n  - {nested}\n  - {{model: bb.st, gram: gram-b.st}}\n")
    result = cli("run", "r.yaml", "-o", "nested.st")
    assert result.code == 0, result.err
    wanted = "warning: whether gram-a.st was computed from the nested merge cannot be checked"
    assert result.err.splitlines()[-1] == wanted


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
def test_matrices_that_are_no_gram_matrices_are_refused(work, cli, place, value, message):
    spoiled = grams(1) | {"q.weight": _spoiled(grams(1)["q.weight"], place, value)}
    save_file(spoiled, work / "gram-b.st", FACTS.metadata())
    assert_refused(cli(*REGMEAN, *BOTH, "--quiet"), 1, f"gram-b.st: the statistics of 'q.weight' {message}")
    assert not (work / "out.st").exists()


def test_rounding_does_not_spoil_symmetry(work, cli):
    matrix = grams(1)["q.weight"]
    save_file(
        grams(1) | {"q.weight": _spoiled(matrix, (1, 2), float(matrix[1, 2]) + 1e-7)},
        work / "gram-b.st",
        FACTS.metadata(),
    )
    assert cli(*REGMEAN, *BOTH).code == 0


def test_matrices_of_zeros_are_averaged_and_that_is_told(work, cli):
    for seed, name in enumerate("ab"):
        zeros = grams(seed) | {"proj": torch.zeros(4, 4)}
        save_file(zeros, work / f"gram-{name}.st", FACTS.metadata())
    result = cli(*REGMEAN, *BOTH, "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert "Infinity" not in result.out
    row = next(row for row in document["statistics"]["tensors"] if row["tensor"] == "proj")
    assert row == {"tensor": "proj", "treatment": "averaged", "why": "its Gram matrices are all 0, as without rows"}
    torch.testing.assert_close(load(work / "out.st")["proj"], (state(0)["proj"] + state(1)["proj"]) / 2)


def test_fisher_information_that_is_not_finite_is_named(work, cli):
    for name in "ab":
        information = {tensor: torch.ones(shape) for tensor, shape in NAMES.items()}
        save_file(information, work / f"fisher-{name}.st", Facts("fisher").metadata())
    information["k.weight"][1, 1] = float("nan")
    save_file(information, work / "fisher-b.st", Facts("fisher").metadata())
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
