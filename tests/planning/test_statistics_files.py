"""Statistics files as inputs of a merge: matched, recorded, and what is told of them."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import torch
from checkpoint_files import load, save
from safetensors import safe_open
from safetensors.torch import save_file
from statistics_case import BOTH, FACTS, REGMEAN, facts, grams, state

from merge.calibration.facts import Facts


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


def test_aliases_and_layouts(with_grams, cli):
    document = merged(cli, "--off-diagonal", 1)
    found, (a, b), (left, right) = load(with_grams / "out.st"), (state(0), state(1)), (grams(0), grams(1))
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


def test_the_ledger_tells_the_reason_that_the_files_record(with_grams, cli):
    reason = "without a place of its own in the network"
    layout = {"proj": "in_out"}
    rows = {"q.weight": 12, "proj": 12}
    metadata = replace(FACTS, layout=layout, rows=rows, about={"left_out": {"conv.weight": reason}}).metadata()
    for seed, name in enumerate("ab"):
        found = grams(seed)
        del found["conv.weight"]
        save_file(found, with_grams / f"gram-{name}.st", metadata)
    ledger = {row["tensor"]: row for row in merged(cli)["statistics"]["tensors"]}
    assert (ledger["conv.weight"]["treatment"], ledger["conv.weight"]["why"]) == ("averaged", reason)
    assert ledger["bias"]["why"] == "no statistics of it"


def test_the_merge_records_content_ids_of_statistics_and_repeats(with_grams, cli):
    document = merged(cli)
    with safe_open(with_grams / "out.st", "pt") as opened:
        metadata = opened.metadata()
    assert json.loads(metadata["merge.inputs"]) == [one["content_id"] for one in document["inputs"]]
    recipe = json.loads(metadata["merge.recipe"])
    assert [model["gram"] for model in recipe["models"]] == [one["content_id"] for one in document["inputs"][2:]]
    assert metadata["merge.data_use"] == "unlabeled"
    assert "gram: ./gram-a.st" in (with_grams / "out.st.md").read_text()
    assert cli("verify", "out.st").code == 0
    save_file(grams(5), with_grams / "gram-b.st", FACTS.metadata())
    assert cli("verify", "out.st").code == 1


def test_bytes_do_not_depend_on_threads_and_a_killed_merge_goes_on(with_grams, cli):
    merged(cli)
    before = (with_grams / "out.st").read_bytes()
    merged(cli, "--force", "--threads", 3)
    assert (with_grams / "out.st").read_bytes() == before


def test_a_recipe_names_statistics_beside_its_models(with_grams, cli):
    merged(cli)
    text = "merge: regmean\nmodels:\n  - {model: a.st, gram: gram-a.st}\n  - {model: b.st, gram: gram-b.st}\n"
    (with_grams / "r.yaml").write_text(f"{text}output: same.st\n")
    assert cli("run", "r.yaml").code == 0
    assert (with_grams / "same.st").read_bytes() == (with_grams / "out.st").read_bytes()


def test_the_matrix_of_an_expert_that_saw_no_row_in_one_model_is_averaged(with_grams, cli):
    fewer = {name: tensor for name, tensor in grams(1).items() if name != "proj"}
    save_file(
        fewer, with_grams / "gram-b.st", Facts("gram", aliases={"k.weight": "q.weight"}, layout=FACTS.layout).metadata()
    )
    document = merged(cli)
    assert document["statistics"]["counts"] == {"regressed": 3, "averaged": 2}
    torch.testing.assert_close(load(with_grams / "out.st")["proj"], (state(0)["proj"] + state(1)["proj"]) / 2)


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


def test_weights_that_do_not_sum_to_one_get_a_warning(with_grams, cli):
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


def test_files_that_do_not_name_their_model_are_taken_with_a_warning(with_grams, cli):
    result = cli(*REGMEAN, *BOTH)
    assert result.code == 0, result.err
    assert "warning: gram-b.st does not say which model it was computed from" in result.err


def test_a_stated_model_is_not_warned_about_unless_it_is_a_nested_merge(with_grams, cli):
    for name in "ab":
        assert cli("passthrough", f"{name}.st", "-o", f"{name}{name}.st").code == 0
        identity = safe_open(with_grams / f"{name}{name}.st", "pt").metadata()["merge.output"]
        save_file(grams(0), with_grams / f"gram-{name}.st", facts(model=identity).metadata())
    result = cli("regmean", "aa.st", "bb.st", *BOTH, "-o", "out.st")
    assert (result.code, result.err) == (0, "")
    nested = "{model: {merge: soup, models: [aa.st, bb.st]}, gram: gram-a.st}"
    (with_grams / "r.yaml").write_text(
        f"merge: regmean\nmodels:\n  - {nested}\n  - {{model: bb.st, gram: gram-b.st}}\n"
    )
    result = cli("run", "r.yaml", "-o", "nested.st")
    assert result.code == 0, result.err
    wanted = "warning: whether gram-a.st was computed from the nested merge cannot be checked"
    assert result.err.splitlines()[-1] == wanted


def test_matrices_of_zeros_are_averaged_and_that_is_told(with_grams, cli):
    for seed, name in enumerate("ab"):
        zeros = grams(seed) | {"proj": torch.zeros(4, 4)}
        save_file(zeros, with_grams / f"gram-{name}.st", FACTS.metadata())
    result = cli(*REGMEAN, *BOTH, "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    assert "Infinity" not in result.out
    row = next(row for row in document["statistics"]["tensors"] if row["tensor"] == "proj")
    assert row == {"tensor": "proj", "treatment": "averaged", "why": "its Gram matrices are all 0, as without rows"}
    torch.testing.assert_close(load(with_grams / "out.st")["proj"], (state(0)["proj"] + state(1)["proj"]) / 2)
