"""The same bytes for any way of running, after being stopped too."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoint_files import assert_same, save
from command_line import Result
from component_models import change_index, in_components, write_pipeline, write_sentences
from fake_hub import files_in
from safetensors.torch import load_file
from scaled_models import random_scaled

from merge import execute
from merge.errors import LostError

Cli = Callable[..., Result]
Pipelines = tuple[Path, Path]
SHARDS = ("--max-shard-size", "2KB", "--quiet")


@pytest.mark.parametrize("more", [("--threads", 2), ("--workers", 2)])
def test_threads_and_processes(pipelines: Pipelines, cli: Cli, more: tuple[object, ...]) -> None:
    assert cli("soup", *pipelines, "-o", "one", "--threads", 1, *SHARDS).code == 0
    found = cli("soup", *pipelines, "-o", "other", *more, *SHARDS)
    assert found.code == 0, found.err
    assert {**files_in(Path("one")), "README.md": b""} == {**files_in(Path("other")), "README.md": b""}


def test_a_run_that_was_stopped_goes_on(pipelines: Pipelines, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("soup", *pipelines, "-o", "whole", *SHARDS).code == 0

    def lost(*arguments: object, **more: object) -> None:
        raise LostError("gone", where="a")

    with monkeypatch.context() as patched:
        patched.setattr(execute, "_complete_folder", lost)
        assert cli("soup", *pipelines, "-o", "out", *SHARDS).code == 1
    assert not Path("out").exists()
    found = cli("soup", *pipelines, "-o", "out", "--resume", "--max-shard-size", "2KB")
    assert found.code == 0, found.err
    assert "resumed" in found.out
    assert {**files_in(Path("out")), "README.md": b""} == {**files_in(Path("whole")), "README.md": b""}
    assert sorted(path.name for path in Path().iterdir() if path.name.startswith(".")) == []


def test_whole_files_are_hashed(pipelines: Pipelines, cli: Cli) -> None:
    found = json.loads(cli("soup", *pipelines, "-o", "out", "--sha256", "--json").out)
    assert "out/unet/diffusion_pytorch_model.safetensors" in found["sha256"]
    assert len([name for name in found["sha256"] if name.startswith("a/")]) == 4


def test_a_vae_of_another_pipeline(here: Path, pipelines: Pipelines, cli: Cli) -> None:
    write_pipeline(here / "c", 2)
    recipe = {"merge": "join", "models": [{"model": "c", "match": "vae.*"}, {"model": "b", "match": "*"}]}
    Path("recipe.yaml").write_text(json.dumps(recipe | {"output": {"path": "out"}}))
    found = cli("run", "recipe.yaml")
    assert found.code == 0, found.err
    one, other, out = (in_components(Path(name)) for name in ("b", "c", "out"))
    assert_same(out, {name: (other if name.startswith("vae.") else one)[name] for name in out})
    assert out.keys() == one.keys()


def test_task_vectors(here: Path, pipelines: Pipelines, cli: Cli) -> None:
    write_pipeline(here / "base", 2)
    found = cli("ties", "b", "a", "--base", "base", "-o", "out", "--density", "0.5")
    assert found.code == 0, found.err
    assert cli("verify", "out").code == 0
    change_index(here / "base", vae=[None, None])
    assert cli("ties", "b", "a", "--base", "base", "-o", "out2").code == 1


def test_a_broken_output_is_found(pipelines: Pipelines, cli: Cli) -> None:
    assert cli("soup", *pipelines, "-o", "out").code == 0
    path = Path("out/vae/diffusion_pytorch_model.safetensors")
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    found = cli("verify", "out")
    assert found.code == 1
    assert "vae.decoder" in found.out + found.err


def test_the_transformer_of_a_sentence_transformer_can_be_built(here: Path) -> None:
    from transformers import AutoConfig, BertConfig, BertModel

    from merge.checkpoints.resolve import open_checkpoint
    from merge.evaluation.architecture import build
    from merge.evaluation.candidate import read_candidate

    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 1}
    write_sentences(here / "a", 0)
    BertModel(BertConfig(**sizes, vocab_size=9)).save_pretrained(here / "a")
    candidate = read_candidate(open_checkpoint("a"), "a")
    assert "2_Dense.linear.weight" in candidate.tensors
    assert build(AutoConfig.from_pretrained("a"), candidate.tensors, where="a").config.hidden_size == 8


def test_a_component_of_scaled_eight_bit_floats(here: Path, cli: Cli) -> None:
    stated = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [128, 128]}, "layers": 1}
    for seed, name in enumerate("ab"):
        write_pipeline(here / name, seed)
        save(here / name / "text_encoder" / "model.safetensors", random_scaled(seed), {"format": "pt"})
        (here / name / "text_encoder" / "config.json").write_text(json.dumps(stated))
    assert cli("soup", "a", "b", "-o", "out").code == 0
    assert load_file("out/text_encoder/model.safetensors").keys() == random_scaled(0).keys()
    assert json.loads(Path("out/text_encoder/config.json").read_text()) == stated
    assert cli("soup", "a", "b", "-o", "plain", "--dtype", "bfloat16").code == 0
    found = load_file("plain/text_encoder/model.safetensors")
    assert {str(tensor.dtype) for tensor in found.values()} == {"torch.bfloat16"}
    assert json.loads(Path("plain/text_encoder/config.json").read_text()) == {"layers": 1}
    assert json.loads(Path("plain/unet/config.json").read_text()) == {"of": "unet"}
    for out in ("out", "plain"):
        assert cli("verify", out).code == 0
