"""``merge calibrate`` as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from command_line import assert_refused, contents, run
from safetensors import safe_open
from safetensors.torch import load_file

from merge.schema import SCHEMAS


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``vit``, a classifier of ten digits, ``gpt2``, and ``texts.txt``."""
    from evaluation.tiny_language_models import make_gpt2, save
    from evaluation.tiny_models import make_classifier

    folder = tmp_path_factory.mktemp("models")
    make_classifier(0, num_labels=10).save_pretrained(folder / "vit")
    save(make_gpt2(), folder / "gpt2")
    (folder / "texts.txt").write_text("the cat sat on a dog\n" * 8)
    return folder


@pytest.fixture
def here(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("vit", "gpt2", "texts.txt"):
        (tmp_path / name).symlink_to(models / name)
    return tmp_path


def gram(cli: Any, *more: object, data: str = "builtin:digits", out: str = "out.st") -> Any:
    return cli("calibrate", "gram", "vit", "--data", data, "-o", out, "--samples", 8, "--device", "cpu", *more)


def test_gram_says_in_one_line_what_was_written(cli, here):
    result = gram(cli)
    assert result.code == 0, result.err
    assert len(result.out.splitlines()) == 1
    assert result.out.startswith("out.st: 9 tensors for 13 parameters, 8 to 40 rows, ")
    assert "1 (convolution; --convolutions includes it) such as 'vit.embeddings.patch_emb" in result.out
    assert "2 (never multiplied by as a whole) such as 'vit.embeddings.cls_token', 1 (" in result.out
    tensors = load_file(here / "out.st")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}
    assert tensors["vit.encoder.layer.0.output.dense.weight"].shape == (16, 16)


def test_statistics_are_not_written_into_the_models_folder(cli, here):
    result = gram(cli, "--force", out="vit/out.st")
    what = "vit/out.st: the statistics would lie in the folder of the model"
    assert_refused(result, 2, what, "write them outside of")
    assert not (here / "vit" / "out.st").exists()


def test_nor_into_the_folder_of_the_data(cli, here):
    (here / "images").mkdir()
    (here / "images" / "one.png").write_bytes(b"")
    what = "the statistics would lie in the folder of the data"
    assert_refused(gram(cli, data="images", out="images/out.st"), 2, what)


def test_gram_of_a_language_model(cli, here):
    result = cli("calibrate", "gram", "gpt2", "--data", "texts.txt", "-o", "out.st", "--samples", 100)
    assert result.code == 0, result.err
    note, line = result.out.splitlines()
    assert note.startswith("note: all ")
    assert line.startswith("out.st: 8 tensors, ")
    with safe_open("out.st", "pt") as file:
        layout = json.loads(file.metadata()["layout"])
    assert "in_out" in layout.values()
    assert len(load_file("out.st")) == 8


def test_gram_in_json(cli, here):
    result = gram(cli, "--json", "--convolutions", "--dtype", "float64", "--padding", "counted", "--draw", "first")
    document = json.loads(result.out)
    jsonschema.validate(document, SCHEMAS["calibrate"]())
    assert document["tensors"] == len(load_file("out.st")) == 10
    assert document["about"]["options"] == {"samples": 8, "draw": "first", "padding": "counted", "convolutions": True}
    assert document["rows"]["classifier.weight"] == 8
    assert {tensor.dtype for tensor in load_file("out.st").values()} == {torch.float64}
    assert result.err.startswith("out.st: 10 tensors")


def test_fisher(cli, here):
    result = cli("calibrate", "fisher", "vit", "--data", "builtin:digits", "-o", "f.st", "--samples", 4, "--json")
    assert result.code == 0, result.err
    document = json.loads(result.out)
    jsonschema.validate(document, SCHEMAS["calibrate"]())
    assert document["kind"] == "fisher"
    tensors = load_file("f.st")
    assert tensors["classifier.weight"].shape == (10, 8)
    assert all((tensor >= 0).all() for tensor in tensors.values())


def test_the_same_command_gives_the_same_bytes_and_another_seed_others(cli, here):
    for out, seed in (("a.st", 1), ("b.st", 1), ("c.st", 2)):
        assert gram(cli, "--seed", seed, out=out).code == 0
    found = contents(here)
    assert found["a.st"] == found["b.st"] != found["c.st"]


def test_quiet(cli, here):
    result = gram(cli, "--quiet")
    assert (result.code, result.out, result.err) == (0, "", "")


def interrupted(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    from merge.calibration.gram_sums import GramSums

    end, calls = GramSums.end_batch, []

    def end_batch(sums: GramSums) -> None:
        end(sums)
        calls.append(1)
        if len(calls) == after:
            raise KeyboardInterrupt

    monkeypatch.setattr("merge.calibration.storing.SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(GramSums, "end_batch", end_batch)


def test_an_interrupted_run_is_resumed_to_the_same_bytes(cli, here, monkeypatch):
    assert gram(cli, "--batch-size", 2, out="whole.st").code == 0
    with monkeypatch.context() as patch:
        interrupted(patch, after=3)
        result = gram(cli, "--batch-size", 2)
    assert result.code == 130
    assert "interrupted; --resume goes on from what was computed" in result.err
    assert not (here / "out.st").exists()
    result = gram(cli, "--batch-size", 2, "--resume")
    assert result.code == 0
    assert "resumed after 4 items" in result.out
    found = contents(here)
    assert found["out.st"] == found["whole.st"]
    assert not [name for name in found if ".merging" in name]


def test_what_was_resumed_is_not_what_was_begun(cli, here, monkeypatch):
    with monkeypatch.context() as patch:
        interrupted(patch, after=3)
        gram(cli, "--batch-size", 2)
    result = gram(cli, "--batch-size", 2, "--resume", "--seed", 5)
    assert result.code == 0
    assert "what it depends on has changed: data, seed" in result.out


def test_bad_requests_are_refused_in_one_line(cli, here):
    (here / "there.st").write_text("precious")
    cases: list[tuple[list[object], tuple[str, ...]]] = [
        (["--samples", 0], ("--samples", "samples must be >= 1")),
        (["--draw", "frist"], ("--draw", "did you mean 'first'?")),
        (["--padding", "none"], ("--padding", "masked, counted")),
        (["--dtype", "float16"], ("--dtype must be float32 or float64", "float16")),
        (["--device", "gpu"], ("gpu",)),
        (["--batch-size", 0], ("--batch-size",)),
        (["-o", "there.st"], ("there.st", "the output exists", "--force")),
        (["-o", "vit"], ("a folder stands there", "single file")),
        (["-o", "vit/model.safetensors", "--force"], ("in the folder of the model", "outside of")),
        (["-o", "texts.txt", "--data", "texts.txt", "--force"], ("one of the inputs",)),
        (["--data", "builtin:digit"], ("builtin:digit",)),
        (["--data", "nope.npz"], ("nope.npz",)),
        (["--sampels", 3], ("--sampels",)),
    ]
    for more, words in cases:
        assert_refused(gram(cli, *more), 2, *words)
    assert (here / "there.st").read_text() == "precious"
    assert not (here / "out.st").exists()


def test_models_and_kinds_that_are_not_there(cli, here):
    assert_refused(cli("calibrate", "gram", "nope", "--data", "builtin:digits", "-o", "out.st"), 2, "nope")
    assert_refused(cli("calibrate", "gran", "vit"), 2, "'gran'", "'gram'")
    assert_refused(cli("calibrate", "activations", "vit"), 2, "activations")
    assert_refused(cli("calibrate", "gram", "vit", "-o", "out.st"), 2, "--data")
    assert_refused(cli("calibrate", "gram", "vit", "--data", "builtin:digits"), 2, "--out")
    summed = ("--gradients", "summed", "--labels", "exact")
    assert_refused(
        cli("calibrate", "fisher", "vit", "--data", "builtin:digits", "-o", "out.st", *summed), 2, "summed gradients"
    )


def test_model_and_data_that_do_not_fit(cli, here):
    result = cli("calibrate", "gram", "vit", "--data", "texts.txt", "-o", "out.st")
    assert result.code in {1, 2}
    assert len(result.err.splitlines()) == 1
    assert "vit" in result.err
    assert "unexpected" not in result.err
    assert not [name for name in contents(here) if name.startswith((".out", "out"))]


def test_help_lists_every_option_and_shows_where_it_is_from(cli, here, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    text = cli("calibrate", "gram", "--help").out
    for flag in ("--samples", "--draw", "--padding", "--convolutions", "--data", "--resume", "--dtype", "--offline"):
        assert flag in text
    assert "published numbers counted them" in text
    assert "--labels" in cli("calibrate", "fisher", "--help").out
    assert "--labels" not in text
    overview = cli("calibrate", "--help").out
    assert "fisher" in overview
    assert "gram" in overview


def test_a_model_of_the_hub_without_the_network(here):
    given = ("no/such-model", "--data", "builtin:digits", "-o", "out.st", "--offline")
    result = run("calibrate", "gram", *given, cwd=here)
    assert result.code != 0
    assert len(result.err.splitlines()) == 1
    assert "no/such-model" in result.err
