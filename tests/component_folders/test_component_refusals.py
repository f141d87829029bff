"""Folders of components that make no sense, or that do not fit together: one clear message, and nothing written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Result, assert_refused
from component_models import change_index, in_components, write_pipeline, write_sentences

Cli = Callable[..., Result]
Pipelines = tuple[Path, Path]


def test_a_component_without_its_folder(pipelines: Pipelines, cli: Cli) -> None:
    shutil.rmtree("b/vae")
    found = cli("soup", *pipelines, "-o", "out")
    assert_refused(found, 1, "b", "model_index.json names vae (AutoencoderKL), which is missing", "download it again")


def test_a_component_without_its_weights(pipelines: Pipelines, cli: Cli) -> None:
    Path("b/unet/diffusion_pytorch_model.safetensors").unlink()
    found = cli("soup", *pipelines, "-o", "out")
    assert_refused(found, 1, "b", "names unet (UNet2DConditionModel), which holds no weights")


def test_a_safety_checker_can_be_done_without(pipelines: Pipelines, cli: Cli) -> None:
    shutil.rmtree("a/safety_checker")
    assert_refused(cli("cast", "a", "-o", "out"), 1, '"safety_checker": [null, null] in model_index.json')
    change_index(Path("a"), safety_checker=[None, None])
    assert cli("cast", "a", "-o", "out").code == 0


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{", "cannot read it as JSON"),
        ("[]", "holds no JSON object"),
        ("\xff\xfe", "cannot read it as JSON"),
        ("{}", "no component that model_index.json names has weights"),
        ('{"../b": ["diffusers", "AutoencoderKL"]}', "'../b', which is not within its own"),
        ('{"/etc": ["diffusers", "AutoencoderKL"]}', "'/etc', which is not within its own"),
        ('{"a\\\\b": ["diffusers", "AutoencoderKL"]}', "which is not within its own"),
        ('{"C:": ["diffusers", "AutoencoderKL"]}', "'C:', which is not within its own"),
        ('{"..": ["diffusers", "AutoencoderKL"]}', "'..', which is not within its own"),
    ],
)
def test_what_names_the_components_is_damaged(pipelines: Pipelines, cli: Cli, text: str, what: str) -> None:
    Path("a/model_index.json").write_bytes(text.encode("latin-1"))
    found = cli("soup", *pipelines, "-o", "out")
    assert found.code in (1, 2)
    assert what in found.err
    assert "Traceback" not in found.err
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{}", "holds no list of modules"),
        ("[]", "holds no list of modules"),
        ('[{"path": 3, "type": "x"}]', "has a module without 'path' and 'type'"),
        ('[{"path": "../c", "type": "x.Dense"}]', "not within its own"),
        ('[{"path": "9_Dense", "type": "x.Dense"}]', "names 9_Dense (Dense), which is missing"),
        ('[{"path": "", "type": "x.Transformer"}, {"path": "", "type": "x.Dense"}]', "names a folder twice"),
        ('[{"path": "", "type": "x.Router"}]', "router_config.json"),
    ],
)
def test_modules_that_make_no_sense(here: Path, cli: Cli, text: str, what: str) -> None:
    write_sentences(here / "a", 0)
    (here / "a/modules.json").write_text(text)
    found = cli("cast", "a", "-o", "out")
    assert found.code in (1, 2)
    assert what in found.err
    assert "Traceback" not in found.err


def test_models_with_other_components(here: Path, pipelines: Pipelines, cli: Cli) -> None:
    write_pipeline(here / "c", 2, without=("safety_checker", "text_encoder"))
    assert_refused(cli("soup", "a", "c", "-o", "out"), 1, "c", "text_encoder", "which a has", "--missing")
    assert_refused(cli("soup", "c", "a", "-o", "out"), 1, "text_encoder")
    assert cli("soup", "a", "c", "-o", "base", "--missing", "base").code == 0
    found, own = in_components(here / "base"), in_components(here / "a")
    assert (found["text_encoder.embeddings.weight"] == own["text_encoder.embeddings.weight"]).all()
    assert cli("soup", "a", "c", "-o", "kept", "--keep", "text_encoder.*").code == 0
    assert_refused(cli("soup", "a", "c", "-o", "x", "--missing", "skip"), 1, "no tensor of the component text_encoder")
    assert_refused(cli("soup", "c", "a", "-o", "x", "--missing", "average-present"), 1, "belongs to no component")


def test_a_checker_that_only_another_model_has(pipelines: Pipelines, cli: Cli) -> None:
    assert cli("soup", "b", "a", "-o", "out", "--missing", "average-present").code == 0
    assert not Path("out/safety_checker").exists()


def test_a_pipeline_goes_into_no_file(pipelines: Pipelines, cli: Cli) -> None:
    found = cli("soup", *pipelines, "-o", "out.safetensors")
    assert_refused(found, 2, "out.safetensors", "which no single file can be", "a model of its own: a/unet")


def test_a_component_of_an_output_is_not_verified_alone(pipelines: Pipelines, cli: Cli) -> None:
    assert cli("soup", *pipelines, "-o", "out").code == 0
    assert_refused(cli("verify", "out/unet"), 2, "out/unet", "one component of out", "model_index.json")


def test_a_quantised_component(pipelines: Pipelines, cli: Cli) -> None:
    settings = {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}
    Path("b/text_encoder/config.json").write_text(json.dumps(settings))
    assert_refused(cli("soup", *pipelines, "-o", "out"), 1, "b/text_encoder", "bitsandbytes")


def test_components_that_are_quantised_in_two_ways(pipelines: Pipelines, cli: Cli) -> None:
    for name, method in (("text_encoder", "gptq"), ("unet", "awq")):
        Path("b", name, "config.json").write_text(json.dumps({"quantization_config": {"quant_method": method}}))
    assert_refused(cli("soup", *pipelines, "-o", "out"), 1, "b/", "states quantised weights")


def test_two_variants_without_a_plain_one(here: Path, cli: Cli) -> None:
    write_pipeline(here / "v", 1, variant="one")
    folder = Path("v/unet")
    name = "diffusion_pytorch_model.two.safetensors"
    (folder / name).write_bytes((folder / "diffusion_pytorch_model.one.safetensors").read_bytes())
    assert_refused(cli("cast", "v", "-o", "out"), 2, "v/unet", "the folder holds only variants", name)


def test_what_others_put_into_a_component_is_not_lost(pipelines: Pipelines, cli: Cli) -> None:
    assert cli("soup", *pipelines, "-o", "out", "--max-shard-size", "2KB").code == 0
    for name in ("notes.txt", "unet/notes.txt", "tokenizer/mine/x", "more/model.safetensors"):
        Path("out", name).parent.mkdir(exist_ok=True)
        Path("out", name).write_text("")
        where = name if name.count("/") < 2 and "more" not in name else name.rpartition("/")[0]
        assert_refused(cli("soup", *pipelines, "-o", "out", "--force"), 2, f"holds '{where}', which no merge wrote")
        Path("out", name).unlink()
        if where != name:
            Path("out", where).rmdir()
    foreign = Path("out/vae/other.safetensors")
    foreign.write_bytes(Path("a/vae/diffusion_pytorch_model.safetensors").read_bytes())
    found = cli("soup", *pipelines, "-o", "out", "--force")
    assert_refused(found, 2, "holds 'vae/other.safetensors', which is no output of a merge")
    foreign.unlink()
    assert cli("soup", *pipelines, "-o", "out", "--force").code == 0
    assert not list(Path("out/unet").glob("*index*"))


def test_folders_that_another_program_wrote_are_not_replaced(pipelines: Pipelines, cli: Cli) -> None:
    found = cli("soup", *pipelines, "-o", "a", "--force")
    assert_refused(found, 2, "the output is one of the inputs")
    write_pipeline(Path("d"), 3)
    assert_refused(cli("soup", *pipelines, "-o", "d", "--force"), 2, "which is no output of a merge")
