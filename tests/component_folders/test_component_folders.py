"""Folders of components in and out: each component's weights in its own folder under its own names."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from checkpoint_files import assert_same, metadata_of
from command_line import Result
from component_models import (
    change_index,
    half_of_each,
    in_components,
    paths,
    states,
    write_pipeline,
    write_sentences,
)
from safetensors.torch import load_file

Cli = Callable[..., Result]
Pipelines = tuple[Path, Path]


def test_a_soup_of_pipelines_is_a_pipeline(pipelines: Pipelines, cli: Cli) -> None:
    found = cli("soup", *pipelines, "-o", "out")
    assert found.code == 0, found.err
    assert paths(Path("out")) == paths(pipelines[0])
    assert_same(in_components(Path("out")), half_of_each(*map(in_components, pipelines)))
    assert "the safety_checker is taken as a has it" in found.out
    for name in ("model_index.json", "unet/config.json", "scheduler/scheduler_config.json"):
        assert Path("out", name).read_bytes() == Path("a", name).read_bytes()
    assert "library_name: diffusers" in Path("out/README.md").read_text()
    assert cli("verify", "out").code == 0


def test_names_have_the_component_in_front(pipelines: Pipelines, cli: Cli) -> None:
    found = json.loads(cli("inspect", "a", "--json").out)
    names = {tensor["name"] for tensor in found["tensors"]}
    assert {"unet.mid.bias", "text_encoder.embeddings.weight", "vae.decoder.conv_in.bias"} < names
    assert "unet/diffusion_pytorch_model.safetensors" in found["files"]
    alone = json.loads(cli("inspect", "a/unet", "--json").out)
    assert {tensor["name"] for tensor in alone["tensors"]} == set(states(0)["unet"])


def test_one_component_alone_is_one_model(pipelines: Pipelines, cli: Cli) -> None:
    assert cli("soup", "a/unet", "b/unet", "-o", "out").code == 0
    assert paths(Path("out")) == {"README.md", "config.json", "diffusion_pytorch_model.safetensors"}


def test_patterns_see_components(pipelines: Pipelines, cli: Cli) -> None:
    assert cli("soup", *pipelines, "-o", "out", "--keep", "vae.*").code == 0
    assert_same(load_file(Path("out/vae/diffusion_pytorch_model.safetensors")), states(0)["vae"])


def test_shards_and_indexes_of_each_component(pipelines: Pipelines, cli: Cli) -> None:
    assert cli("soup", *pipelines, "-o", "whole").code == 0
    assert cli("soup", *pipelines, "-o", "out", "--max-shard-size", "2KB").code == 0
    index = json.loads(Path("out/unet/diffusion_pytorch_model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(states(0)["unet"])
    files = {f"unet/{file}" for file in index["weight_map"].values()}
    assert len(files) == 2
    assert files < paths(Path("out"))
    assert_same(in_components(Path("out")), in_components(Path("whole")))
    assert not Path("out/vae/diffusion_pytorch_model.safetensors.index.json").exists()
    assert cli("verify", "out").code == 0
    assert cli("cast", "out", "-o", "again", "--quiet").code == 0
    assert_same(in_components(Path("again")), in_components(Path("whole")))
    assert metadata_of(Path("again/unet/diffusion_pytorch_model.safetensors"))["format"] == "pt"


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_a_cast(pipelines: Pipelines, cli: Cli, dtype: torch.dtype) -> None:
    Path("a/text_encoder/config.json").write_text('{"torch_dtype": "float32"}')
    assert cli("cast", "a", "-o", "out", "--dtype", str(dtype).removeprefix("torch.")).code == 0
    found = in_components(Path("out"))
    assert all(tensor.dtype == dtype for tensor in found.values())
    assert str(dtype).removeprefix("torch.") in Path("out/text_encoder/config.json").read_text()


def test_variants_are_read_where_there_is_nothing_else(here: Path, pipelines: Pipelines, cli: Cli) -> None:
    write_pipeline(here / "v", 1, variant="fp16")
    found = cli("soup", "a", "v", "-o", "out")
    assert "unet: diffusion_pytorch_model.fp16.safetensors is read, the variant 'fp16'" in found.out
    assert cli("soup", "v", "a", "-o", "turned", "--quiet").code == 0
    assert "unet/diffusion_pytorch_model.safetensors" in paths(Path("turned"))
    assert_same(in_components(Path("out")), half_of_each(*map(in_components, pipelines)))


def test_plain_names_go_before_variants(here: Path, pipelines: Pipelines, cli: Cli) -> None:
    write_pipeline(here / "v", 5, variant="fp16")
    name = "unet/diffusion_pytorch_model.fp16.safetensors"
    Path("v", name).rename(Path("a", name))
    found = cli("soup", *pipelines, "-o", "out")
    assert "unet: diffusion_pytorch_model.fp16.safetensors lies beside it and is not read" in found.out
    Path("a", name).unlink()
    assert_same(in_components(Path("out")), half_of_each(*map(in_components, pipelines)))


def test_shards_of_a_variant(here: Path, pipelines: Pipelines, cli: Cli) -> None:
    assert cli("cast", "b", "-o", "s", "--max-shard-size", "2KB", "--quiet").code == 0
    folder = Path("s/unet")
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    text = index.read_text().replace("_model-", "_model.fp16-")
    for path in list(folder.glob("*-of-*")):
        path.rename(folder / path.name.replace("_model-", "_model.fp16-"))
    index.unlink()
    for name in (
        "diffusion_pytorch_model.safetensors.index.fp16.json",
        "diffusion_pytorch_model.fp16.safetensors.index.json",
    ):
        (folder / name).write_text(text)
        found = cli("soup", "a", "s", "-o", "out", "--force")
        assert found.code == 0, found.err
        (folder / name).unlink()
        assert_same(in_components(Path("out")), half_of_each(*map(in_components, pipelines)))


@pytest.mark.parametrize("component", ["unet", "text_encoder"])
def test_components_that_torch_saved(here: Path, pipelines: Pipelines, cli: Cli, component: str) -> None:
    write_pipeline(here / "p", 1, pickled=component)
    assert not list(Path("p", component).glob("*.safetensors"))
    for first, second in (("a", "p"), ("p", "a")):
        found = cli("soup", first, second, "-o", f"out-{first}")
        assert found.code == 0, found.err
    assert_same(in_components(Path("out-a")), half_of_each(*map(in_components, pipelines)))
    assert paths(Path("out-p")) == paths(Path("b"))


def test_weights_that_no_component_has_are_named(pipelines: Pipelines, cli: Cli) -> None:
    for name in ("sd-v1-5.safetensors", "extra/model.safetensors"):
        Path("a", name).parent.mkdir(exist_ok=True)
        Path("a", name).write_bytes(Path("a/vae/diffusion_pytorch_model.safetensors").read_bytes())
    found = cli("soup", *pipelines, "-o", "out").out
    assert "sd-v1-5.safetensors lies beside the components and is not read" in found
    assert "extra holds weights and is not read: model_index.json does not name it" in found


def test_files_that_are_not_copied_are_named(pipelines: Pipelines, cli: Cli) -> None:
    Path("a/unet/my_unet.py").write_text("")
    assert "a/unet/my_unet.py is not copied" in cli("soup", *pipelines, "-o", "out").out


def test_sentence_transformers_keep_their_dense_layer(here: Path, cli: Cli) -> None:
    folders = write_sentences(here / "a", 0), write_sentences(here / "b", 1)
    found = cli("soup", *folders, "-o", "out")
    assert found.code == 0, found.err
    assert_same(in_components(here / "out"), half_of_each(*map(in_components, folders)))
    assert "2_Dense.linear.weight" in in_components(here / "out")
    assert paths(here / "out") == paths(folders[0]) | {"README.md"}
    assert "library_name: sentence-transformers" in (here / "out/README.md").read_text()
    assert cli("verify", "out").code == 0


def test_a_dense_layer_that_torch_saved(here: Path, cli: Cli) -> None:
    write_sentences(here / "a", 0, pickled=True), write_sentences(here / "plain", 0), write_sentences(here / "b", 1)
    assert cli("soup", "a", "b", "-o", "out").code == 0
    assert_same(in_components(here / "out"), half_of_each(in_components(here / "plain"), in_components(here / "b")))


def test_sentence_transformers_of_one_model_go_into_a_file(here: Path, cli: Cli) -> None:
    for seed, name in enumerate("ab"):
        write_sentences(here / name, seed, dense=False)
    assert cli("soup", "a", "b", "-o", "out.safetensors").code == 0
    assert list(load_file("out.safetensors")) == ["encoder.weight"]
    assert cli("soup", "a", "b", "-o", "out").code == 0
    assert {"1_Pooling/config.json", "modules.json"} < paths(here / "out")


def test_the_modules_of_a_router(here: Path, cli: Cli) -> None:
    for seed, name in enumerate("ab"):
        write_sentences(here / name, seed)
        (here / name / "model.safetensors").unlink()
        (here / name / "2_Dense").rename(here / name / "query_0_Dense")
        (here / name / "modules.json").write_text(
            json.dumps([{"path": "", "type": "sentence_transformers.models.Router"}])
        )
        types = {"query_0_Dense": "sentence_transformers.models.Dense"}
        (here / name / "router_config.json").write_text(json.dumps({"types": types}))
    found = cli("soup", "a", "b", "-o", "out")
    assert found.code == 0, found.err
    assert set(in_components(here / "out")) == {"query_0_Dense.linear.weight"}
    assert "router_config.json" in paths(here / "out")


def test_components_that_are_left_out(here: Path, pipelines: Pipelines, cli: Cli) -> None:
    change_index(here / "b", image_encoder=[None, None], force_zeros=True, boxes=[1, 2, 3])
    assert cli("soup", "b", "a", "-o", "out").code == 0
    assert not any(name.startswith("safety_checker") for name in in_components(here / "out"))
