"""Merging commands that are given data: statistics are computed first, kept, and the merge is an ordinary one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import load
from command_line import ROOT, assert_refused

from merge.registry import find_method


def classifier(seed: int):
    from transformers import ViTConfig, ViTForImageClassification

    torch.manual_seed(seed)
    sizes = {"hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = ViTConfig(image_size=8, patch_size=4, num_channels=1, num_labels=3, **sizes)
    return ViTForImageClassification(config).eval()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``base``, ``tuned-1``, ``tuned-2``; unlabelled images of two tasks; a benchmark file for each."""
    folder = tmp_path_factory.mktemp("made")
    base = classifier(0)
    base.save_pretrained(folder / "base")
    for seed in (1, 2):
        tuned = classifier(0)
        generator = torch.Generator().manual_seed(seed)
        for parameter in tuned.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
        tuned.save_pretrained(folder / f"tuned-{seed}")
        images = np.random.default_rng(seed).integers(0, 256, (40, 8, 8), dtype=np.uint8)
        np.savez(folder / f"data-{seed}.npz", images=images)
        (folder / f"data-{seed}.yaml").write_text(f"kind: classification\ndata: {{path: data-{seed}.npz}}\n")
    return folder


@pytest.fixture
def work(made: Path, here: Path) -> Path:
    for path in made.iterdir():
        (here / path.name).symlink_to(path)
    return here


DATA = ("--data", "data-1.yaml", "--data", "data-2.yaml")
MODELS = ("tuned-1", "tuned-2")


@pytest.mark.parametrize("method", ["fisher", "regmean", "regmean-pp"])
def test_from_data_to_a_merge_that_repeats(work, cli, method):
    base = ("--base", "base") if method == "regmean-pp" else ()
    result = cli(method, *MODELS, *base, *DATA, "--samples", 20, "-o", "out", "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    kind = find_method(method).statistics
    files = sorted(path.name for path in (work / "out.statistics").iterdir())
    assert files == [f"{kind}-1.safetensors", f"{kind}-2.safetensors"]
    assert [one["about"]["options"]["samples"] for one in document["statistics"]["files"]] == [20, 20]
    assert cli("verify", "out").code == 0
    averaged = (load_all("tuned-1"), load_all("tuned-2"))
    found = load_all("out")
    means = {name: (averaged[0][name] + averaged[1][name]) / 2 for name in found}
    moved = [name for name in found if not torch.allclose(found[name], means[name], atol=1e-4)]
    assert len(moved) >= 12  # the matrices of both blocks


def load_all(folder: str):
    return load(Path(folder) / "model.safetensors")


def test_given_files_and_computed_ones_give_the_same_merge(work, cli):
    for number in (1, 2):
        arguments = (f"tuned-{number}", "--data", f"data-{number}.yaml", "--samples", 20, "-o", f"gram-{number}.st")
        assert cli("calibrate", "gram", *arguments).code == 0
    assert cli("regmean", *MODELS, "--gram", "gram-1.st", "--gram", "gram-2.st", "-o", "given.st").code == 0
    assert cli("regmean", *MODELS, *DATA, "--samples", 20, "-o", "computed.st").code == 0
    assert (work / "given.st").read_bytes() == (work / "computed.st").read_bytes()


def test_one_name_of_data_counts_for_all_models(work, cli):
    assert cli("regmean", *MODELS, "--data", "data-1.yaml", "--samples", 8, "-o", "out.st").code == 0
    text = "merge: regmean\nmodels: [tuned-1, tuned-2]\ndata: data-1.yaml\noptions: {samples: 8}\noutput: same.st\n"
    (work / "r.yaml").write_text(text)
    assert cli("run", "r.yaml").code == 0
    assert (work / "same.st").read_bytes() == (work / "out.st").read_bytes()


def test_a_dry_run_computes_nothing(work, cli):
    result = cli("fisher", *MODELS, *DATA, "-o", "out.st", "--dry-run")
    assert result.code == 0, result.err
    assert not (work / "out.st.statistics").exists()


def test_statistics_that_are_there_are_used_again_if_they_are_the_same(work, cli):
    arguments = ("regmean", *MODELS, *DATA, "-o", "out.st", "--samples")
    assert cli(*arguments, 8).code == 0
    wanted = (work / "out.st").read_bytes()
    (work / "out.st").unlink()
    again = cli(*arguments, 8)
    assert again.code == 0, again.err
    assert again.out.count("the statistics are there already") == 2
    assert (work / "out.st").read_bytes() == wanted
    (work / "out.st").unlink()
    assert_refused(cli(*arguments, 9, "--quiet"), 2, "gram-1.safetensors: other statistics stand there")
    assert not (work / "out.st").exists()
    forced = cli(*arguments, 9, "--force")
    assert forced.code == 0, forced.err
    assert (work / "out.st").read_bytes() != wanted


def test_a_nested_merge_learns_too(work, cli):
    text = """
merge: soup
models:
  - model:
      merge: regmean
      models: [{model: tuned-1, data: data-1.yaml}, {model: tuned-2, data: data-2.yaml}]
      options: {samples: 8}
  - base
output: out.st
"""
    (work / "r.yaml").write_text(text)
    result = cli("run", "r.yaml")
    assert result.code == 0, result.err
    assert cli("verify", "out.st").code == 0


def test_a_sweep_computes_once(work, cli):
    arguments = ("regmean", *MODELS, *DATA, "--samples", 8, "--sweep", "off_diagonal=0.5,0.9", "-o", "out.st")
    result = cli(*arguments)
    assert result.code == 0, result.err
    assert sorted(path.name for path in work.glob("out*.st")) == ["out-off-diagonal-0.5.st", "out-off-diagonal-0.9.st"]
    assert result.out.count("gram of tuned-1") == 1


def test_the_shipped_recipe_of_regmean_pp_runs(work, cli):
    (work / "tasks").mkdir()
    for letter, number in (("a", 1), ("b", 2)):
        (work / letter).symlink_to(work / f"tuned-{number}")
        (work / "tasks" / f"{letter}.yaml").write_text(f"kind: classification\ndata: {{path: ../data-{number}.npz}}\n")
    text = (ROOT / "recipes" / "regmean-pp.yaml").read_text()
    (work / "regmean-pp.yaml").write_text(text.replace("samples: 256", "samples: 8"))
    result = cli("run", "regmean-pp.yaml")
    assert result.code == 0, result.err
    printed = cli("new", "regmean-pp").out.replace("samples: 256", "samples: 8")
    (work / "printed.yaml").write_text(printed)
    result = cli("run", "printed.yaml")
    assert result.code == 0, result.err
    assert torch.equal(load_all("merged")["vit.layernorm.weight"], load_all("base")["vit.layernorm.weight"])


REFUSED = {
    "no such data": (("regmean", *MODELS, "--data", "nothing.yaml", "-o", "o.st"), 2, "nothing.yaml"),
    "data for a soup": (("soup", *MODELS, "--data", "data-1.yaml", "-o", "o.st"), 2, "--data"),
    "data for one of three": (("regmean", *MODELS, "base", *DATA, "-o", "o.st"), 2, "--data is given 2 times for 3"),
    "no data": (("regmean-pp", *MODELS, "--base", "base", "-o", "o.st"), 2, "needs data of every model"),
    "no base": (("regmean-pp", *MODELS, *DATA, "-o", "o.st"), 2, "there is no base"),
    "one model": (("regmean-pp", "tuned-1", "--base", "base", "--data", "data-1.yaml", "-o", "o.st"), 2, "at least 2"),
    "no item": (("fisher", *MODELS, *DATA, "--samples", "0", "-o", "o.st"), 2, "--samples"),
    "a word": (("fisher", *MODELS, *DATA, "--labels", "exakt", "-o", "o.st"), 2, "did you mean 'exact'?"),
    "labels": (("fisher", *MODELS, *DATA, "--labels", "empirical", "-o", "o.st"), 2, "labels"),
    "texts": (
        ("regmean", *MODELS, "--data", "words.txt", "-o", "o.st"),
        2,
        "reads images, but the data 'words' is texts",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused(work, cli, case):
    (work / "words.txt").write_text("some words\nand some more\n")
    arguments, code, message = REFUSED[case]
    result = cli(*arguments, "--quiet")
    assert_refused(result, code, message)
    assert not (work / "o.st").exists()


def test_evaluating_and_searching_a_recipe_with_data_is_refused(work, cli):
    text = "merge: regmean\nmodels: [tuned-1, tuned-2]\ndata: data-1.yaml\noutput: out.st\n"
    (work / "r.yaml").write_text(text)
    assert_refused(cli("eval", "r.yaml", "--benchmark", "digits"), 2, "still to be computed")


def test_the_report_lists_every_tensor(work, cli):
    result = cli("regmean", *MODELS, *DATA, "--samples", 8, "-o", "out.st", "--report", "report")
    assert result.code == 0, result.err
    assert "regressed" in result.out
    report = json.loads((work / "report" / "results.json").read_text())
    rows = {row["tensor"]: row for row in report["statistics"]["tensors"]}
    assert rows.keys() == load(work / "out.st").keys()
    text = (work / "report" / "report.md").read_text()
    assert "Learned from data" in text
    assert all(name.replace("_", r"\_") in text for name in rows)
