"""Statistics beside an output: used again if all are there and the same, and no trace of what was refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from command_line import assert_refused
from safetensors.torch import save_file
from test_complete import DATA, MODELS, classifier, made  # noqa: F401 - fixtures

from merge.calibration.storing import Store
from merge.errors import MergeError, UsageError

PLUS = ("regmean-pp", *MODELS, "--base", "base", *DATA, "-o", "out.st", "--samples")
THERE = "the statistics of all models are there already"


@pytest.fixture
def work(made: Path, here: Path) -> Path:  # noqa: F811
    for path in made.iterdir():
        (here / path.name).symlink_to(path)
    return here


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_regmean_pp_uses_its_files_again(work, cli):
    assert cli(*PLUS, 8).code == 0
    merged, files = (work / "out.st").read_bytes(), contents(work / "out.st.statistics")
    (work / "out.st").unlink()
    again = cli(*PLUS, 8)
    assert again.code == 0, again.err
    assert THERE in again.out
    assert (work / "out.st").read_bytes() == merged
    (work / "out.st").unlink()
    (work / "out.st.statistics" / "gram-2.safetensors").unlink()
    one_is_missing = cli(*PLUS, 8)
    assert one_is_missing.code == 0, one_is_missing.err
    assert THERE not in one_is_missing.out
    assert contents(work / "out.st.statistics") == files


def test_other_files_of_regmean_pp_are_replaced_only_by_force(work, cli):
    assert cli(*PLUS, 8).code == 0
    files = contents(work / "out.st.statistics")
    (work / "out.st").unlink()
    assert_refused(cli(*PLUS, 9, "--quiet"), 2, "gram-1.safetensors: other statistics stand there (--force replaces")
    assert contents(work / "out.st.statistics") == files
    assert cli(*PLUS, 9, "--force").code == 0
    assert contents(work / "out.st.statistics") != files


def test_files_of_another_model_are_not_used_again(work, cli):
    assert cli(*PLUS, 8).code == 0
    (work / "out.st").unlink()
    (work / "tuned-2").unlink()
    classifier(5).save_pretrained(work / "tuned-2")
    assert_refused(cli(*PLUS, 8, "--quiet"), 2, "other statistics stand there")


@pytest.mark.parametrize("method", ["regmean", "regmean-pp", "fisher"])
def test_a_refusal_leaves_no_folder(work, cli, method):
    (work / "words.txt").write_text("some words\n")
    base = ("--base", "base") if method == "regmean-pp" else ()
    result = cli(method, *MODELS, *base, "--data", "words.txt", "-o", "out.st", "--quiet")
    assert_refused(result, 2, "reads images")
    assert [path.name for path in work.iterdir() if "out.st" in path.name] == []


def test_a_second_run_ends_before_it_computes_anything(tmp_path):
    with Store(tmp_path / "out.st"), pytest.raises(MergeError, match="another run is building this output"):
        Store(tmp_path / "out.st").__enter__()


def test_an_output_of_a_run_that_has_just_ended_is_kept(tmp_path):
    store = Store(tmp_path / "out.st")
    save_file({"a": torch.ones(1)}, tmp_path / "out.st")
    with pytest.raises(UsageError, match="the output exists"), store:
        raise AssertionError("the output is not seen")
    assert [path.name for path in tmp_path.iterdir()] == ["out.st"]


def test_a_refusal_before_the_computation_keeps_what_can_be_resumed(tmp_path):
    def stop_after_saving() -> None:
        with Store(tmp_path / "out.st") as store:
            store.begin({"a": 1})
            store.save({"x": torch.ones(1)}, {"items": 3})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop_after_saving()
    with pytest.raises(UsageError), Store(tmp_path / "out.st", resume=True):
        raise UsageError("a wrong flag")
    with Store(tmp_path / "out.st", resume=True) as store:
        assert store.begin({"a": 1}).notes == {"items": 3}


def test_a_dry_run_says_what_would_be_computed(work, cli):
    result = cli("regmean", *MODELS, *DATA, "-o", "out.st", "--dry-run", "--json")
    folder = "out.st.statistics"
    assert json.loads(result.out)["notes"][-2:] == [
        f"to be computed: gram of tuned-{number} from data-{number}.yaml into {folder}/gram-{number}.safetensors"
        for number in (1, 2)
    ]
    assert cli("regmean", *MODELS, *DATA, "-o", "out.st", "--samples", 8).code == 0
    assert [path.name for path in sorted((work / "out.st.statistics").iterdir())] == [
        "gram-1.safetensors",
        "gram-2.safetensors",
    ]


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_what_needs_no_model_is_refused_before_one_is_loaded(work, cli, monkeypatch, more):
    monkeypatch.setattr("merge.completion.learning.Learning.by_blocks", None)
    plus = ("regmean-pp", *MODELS, "-o", "out.st", "--quiet", *more)
    assert "there is no base (give --base (base: in a recipe), or --final-norm mean)" in cli(*plus, *DATA).err
    assert "an empty name of data" in cli(*plus, "--base", "base", "--data", "data-1.yaml,").err
    rule = 'layers: [{match: "*.0.*", options: {off_diagonal: 0.5}}]'
    text = f"merge: regmean-pp\nmodels: [tuned-1, tuned-2]\nbase: base\ndata: data-1.yaml\n{rule}\n"
    (work / "r.yaml").write_text(text)
    assert "so it takes no layer rules" in cli("run", "r.yaml", "-o", "out.st", *more).err
    assert not (work / "out.st.statistics").exists()


def test_captions_are_one_item_each_for_a_text_tower(here, cli):
    from evaluation.tiny_clip import make_clip

    make_clip(here / "clip")
    (here / "captions.txt").write_text("a cat\n\n  \na dog\r\na photo of a bird\n")
    result = cli("calibrate", "gram", "clip", "--data", "captions.txt", "-o", "gram.st", "--json")
    assert result.code == 0, result.err
    assert json.loads(result.out)["about"]["data"]["number"] == 3


def test_help_tells_of_calibration(cli):
    text = " ".join(cli("regmean", "--help").out.replace("│", " ").split())
    assert "Architecture to run bare checkpoints with" in text
    assert "Items run at a time" in text
    assert "Architecture to run bare checkpoints with" not in " ".join(cli("soup", "--help").out.split())
    assert "saved once a minute" in " ".join(cli("calibrate", "gram", "--help").out.replace("│", " ").split())
