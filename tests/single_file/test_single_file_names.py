"""A module of a single-file adapter means the same tensor in every layout of the base, however it is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from checkpoint_files import State, save
from diffusion_layouts import layout, random_model, write_model
from made_adapters import assert_rounded
from single_files import adapted_layers, added, kohya_name, normal, pair, write_pair

import merge
from merge.adapters.single_file.keys import sort_keys
from merge.adapters.single_file.modules import Modules
from merge.checkpoints.header import TensorInfo
from merge.errors import MergeError


def infos(family: str, style: str) -> dict[str, TensorInfo]:
    return {name: TensorInfo(name, "F16", shape, 0, 0, 2) for name, shape in layout(family, style).items()}


@pytest.mark.parametrize(
    ("family", "sgm", "counts"),
    [
        ("sd1", False, (282, 72)),
        ("sd1", True, (282, 72)),
        ("sd2", False, (282, 138)),
        ("sdxl", False, (794, 264)),
        ("sdxl", True, (794, 264)),
    ],
)
@pytest.mark.parametrize("style", ["ldm", "diffusers"])
def test_every_layer_that_trainers_adapt_is_found(family: str, sgm: bool, counts: tuple[int, int], style: str) -> None:
    modules, found = Modules(infos(family, style)), {}
    for named in adapted_layers(family):
        if (style == "diffusers" and named.diffusers is None) or named.ldm is None:
            continue
        module = modules.find(kohya_name(named, family, sgm=sgm))
        assert module is not None, named
        assert module.name == (named.diffusers or "").removesuffix(".weight")
        place = module.tensors["weight"]
        assert place.name == (named.ldm if style == "ldm" else named.diffusers)
        assert place.shape == named.shape
        found[module.name] = module.is_text
    texts = sum(found.values())
    assert (len(found) - texts, texts) == counts


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
@pytest.mark.parametrize("sgm", [False, True])
def test_diffusers_means_the_same(family: str, sgm: bool) -> None:
    """Its own conversion of kohya's names, of which the pipelines load adapters, gives the names found here."""
    from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, UNet2DConditionModel
    from diffusion_layouts import component_config

    if family == "sd1" and sgm:
        pytest.skip("diffusers reads sgm's names of SDXL only")
    keys = [kohya_name(named, family, sgm=sgm) for named in adapted_layers(family)]
    keys = [key for key in keys if sgm or "lora_te" in key or "_block" in key]
    state = {
        f"{key}.{part}.weight": torch.tensor([number])
        for number, key in enumerate(keys)
        for part in ("lora_down", "lora_up")
    }
    pipeline = StableDiffusionXLPipeline if family == "sdxl" else StableDiffusionPipeline
    with torch.device("meta"):
        config = UNet2DConditionModel.from_config(component_config(family, "unet", 64, 4)).config
    converted, _ = pipeline.lora_state_dict(dict(state), unet_config=config)
    modules = Modules(infos(family, "diffusers"))
    theirs = {}
    for name, tensor in converted.items():
        (module,) = sort_keys({name: TensorInfo(name, "F16", (1,), 0, 0, 2)}, "theirs").modules
        theirs[int(tensor)] = modules.find(module)
    assert len(theirs) == len(keys)
    for number, key in enumerate(keys):
        assert theirs[number] == modules.find(key), key


@pytest.mark.parametrize("family", ["sd1", "sd2", "sdxl"])
def test_both_layouts_give_the_same_numbers(tmp_path: Path, family: str) -> None:
    """Also where ldm has the rows of three layers in one tensor, and where it has a 1x1 convolution."""
    adapter: State = {}
    layers = [
        named for number, named in enumerate(adapted_layers(family)) if named.ldm and named.diffusers and number % 3
    ]
    for number, named in enumerate(layers):
        adapter |= pair(kohya_name(named, family), named.shape, seed=number)
    save(tmp_path / "lora.safetensors", adapter)
    single = write_model(tmp_path / "model.safetensors", family)
    folder = write_model(tmp_path / "folder", family, "diffusers")
    before = random_model(family, "diffusers")
    ldm, diffusers = (merge.load(f"{base}+{tmp_path / 'lora.safetensors'}=0.5") for base in (single, folder))
    for named in layers:
        name = named.diffusers or ""
        wanted = before[name].double() + added(adapter, kohya_name(named, family), 0.25)
        assert_rounded(diffusers[name], wanted)
        if not (named.ldm or "").endswith("in_proj_weight"):
            assert torch.equal(ldm[named.ldm or ""].reshape(named.shape), diffusers[name])
    for name in (name for name in ldm if name.endswith("in_proj_weight")):
        front = next((named.diffusers for named in adapted_layers(family) if named.ldm == name), None) or ""
        if front not in diffusers:  # diffusers leaves the last layer of SD 2 out
            continue
        parts = [diffusers[f"{front.rpartition('.self_attn.')[0]}.self_attn.{letter}_proj.weight"] for letter in "qkv"]
        assert torch.equal(ldm[name], torch.cat(parts)), name


def test_magnitudes_in_rows_of_a_joint_tensor(tmp_path: Path) -> None:
    """Of queries, keys and values in one tensor, each has norms of its own."""
    state, named = random_model("sd2"), {}
    for one in adapted_layers("sd2"):
        if (one.ldm or "").endswith("resblocks.0.attn.in_proj_weight"):
            named[kohya_name(one, "sd2")] = one
    width = next(iter(named.values())).shape[0]
    adapter: State = {}
    for number, module in enumerate(named):
        shape = (width, 1) if number else (1, width)
        adapter |= pair(module, (width, width), seed=number)
        adapter[f"{module}.dora_scale"] = normal(*shape, seed=number).abs()
    found = merge.load(write_pair(tmp_path, state, adapter))
    name = next(iter(named.values())).ldm or ""
    for number, module in enumerate(named):
        rows = slice(number * width, (number + 1) * width)
        total = state[name][rows].double() + added(adapter, module, 0.5)
        norms = total.norm(dim=1 if number else 0, keepdim=True)
        assert_rounded(found[name][rows], total * adapter[f"{module}.dora_scale"].double() / norms)


DOWN, UP = normal(2, 5, seed=1), normal(5, 2, seed=2)
BASE = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
ENDINGS = {
    "kohya": "lora_unet_{flat}.lora_{down}.weight",
    "diffusers by PEFT": "unet.{dotted}.lora_{A}.weight",
    "diffusers by PEFT with a name": "unet.{dotted}.lora_{A}.default.weight",
    "diffusers before PEFT": "unet.{dotted}.lora.{down}.weight",
    "ldm with dots": "diffusion_model.{ldm}.lora_{down}.weight",
    "lycoris": "lycoris_{flat}.lora_{down}.weight",
}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("style", ["ldm", "diffusers"])
def test_ways_of_naming_a_module(tmp_path: Path, ending: str, style: str) -> None:
    module, ldm = f"{BASE}.to_out.0", "input_blocks.1.1.transformer_blocks.0.attn1.to_out.0"
    adapter = {
        ENDINGS[ending].format(flat=module.replace(".", "_"), dotted=module, ldm=ldm, down=down, A=letter): tensor
        for down, letter, tensor in (("down", "A", DOWN), ("up", "B", UP))
    }
    found = merge.load(write_pair(tmp_path, random_model("sd1", style), adapter))
    name = f"unet.{module}.weight" if style == "diffusers" else f"model.diffusion_model.{ldm}.weight"
    assert_rounded(found[name], random_model("sd1", style)[name].double() + UP.double() @ DOWN.double())


@pytest.mark.parametrize(
    ("early", "name"),
    [
        (f"unet.{BASE}.processor.to_q_lora", f"unet.{BASE}.to_q"),
        (f"{BASE}.processor.to_out_lora", f"unet.{BASE}.to_out.0"),
        (
            "text_encoder.text_model.encoder.layers.0.self_attn.to_q_lora",
            "text_encoder.text_model.encoder.layers.0.self_attn.q_proj",
        ),
        (
            "text_encoder.text_model.encoder.layers.0.self_attn.k_proj.lora_linear_layer",
            "text_encoder.text_model.encoder.layers.0.self_attn.k_proj",
        ),
    ],
)
def test_early_versions_of_diffusers(tmp_path: Path, early: str, name: str) -> None:
    state = random_model("sd1", "diffusers")
    width = state[f"{name}.weight"].shape[0]
    down, up = normal(2, width), normal(width, 2, seed=1)
    found = merge.load(write_pair(tmp_path, state, {f"{early}.down.weight": down, f"{early}.up.weight": up}))
    assert_rounded(found[f"{name}.weight"], state[f"{name}.weight"].double() + up.double() @ down.double())


def test_text_encoders_may_have_a_strength_of_their_own(tmp_path: Path) -> None:
    state = random_model("sdxl")
    unet, text = (
        next(one for one in adapted_layers("sdxl") if (one.diffusers or "").startswith(front))
        for front in ("unet.", "text_encoder_2.")
    )
    adapter: State = {}
    for number, named in enumerate((unet, text)):
        adapter |= pair(kohya_name(named, "sdxl"), named.shape, seed=number)
    found = merge.load(write_pair(tmp_path, state, adapter) + "=0.8:0.4")
    name = unet.ldm or ""
    assert_rounded(found[name], state[name].double() + added(adapter, kohya_name(unet, "sdxl"), 0.4))
    name, rows = text.ldm or "", text.shape[0]
    wanted = state[name][:rows].double() + added(adapter, kohya_name(text, "sdxl"), 0.2)
    assert_rounded(found[name][:rows], wanted)


@pytest.mark.parametrize("prefix", ["lora_te_", "lora_unet_", "lycoris_", "lora_", "lora_transformer_"])
def test_models_that_are_no_diffusion_models(tmp_path: Path, prefix: str) -> None:
    state = {"model.layers.0.self_attn.q_proj.weight": normal(6, 4), "model.norm.weight": normal(4)}
    adapter = pair(f"{prefix}model_layers_0_self_attn_q_proj", (6, 4))
    name = "model.layers.0.self_attn.q_proj.weight"
    found = merge.load(write_pair(tmp_path, state, adapter))[name]
    module = f"{prefix}model_layers_0_self_attn_q_proj"
    assert_rounded(found, state[name].double() + added(adapter, module, 0.5))


@pytest.mark.parametrize("front", ["", "transformer.", "model.diffusion_model."])
@pytest.mark.parametrize(
    "named", ["transformer.{dotted}.lora_{letter}.weight", "lora_transformer_{flat}.lora_{down}.weight"]
)
def test_a_transformer_alone_or_in_a_file(tmp_path: Path, front: str, named: str) -> None:
    """Flux and others that are told by their names alone: a component's folder has no component in front."""
    module = "single_transformer_blocks.0.attn.to_q"
    state = {f"{front}{module}.weight": normal(5, 5)}
    adapter = {
        named.format(dotted=module, flat=module.replace(".", "_"), letter=letter, down=down): tensor
        for letter, down, tensor in (("A", "down", DOWN), ("B", "up", UP))
    }
    found = merge.load(write_pair(tmp_path, state, adapter))[f"{front}{module}.weight"]
    assert_rounded(found, state[f"{front}{module}.weight"].double() + UP.double() @ DOWN.double())


def test_a_configuration_in_the_metadata(tmp_path: Path) -> None:
    """Diffusers writes PEFT's settings of every component there; PEFT's own patterns count."""
    settings = {"unet.peft_type": "LORA", "unet.r": 2, "unet.lora_alpha": 8, "unet.alpha_pattern": {"attn1.to_q": 1}}
    metadata = {"lora_adapter_metadata": json.dumps(settings), "format": "pt"}
    state, adapter = random_model("sd1", "diffusers"), {}
    for letter in "qk":
        adapter[f"unet.{BASE}.to_{letter}.lora_A.weight"] = DOWN.clone()
        adapter[f"unet.{BASE}.to_{letter}.lora_B.weight"] = UP.clone()
    location = write_pair(tmp_path, state, adapter, metadata)
    found = merge.load(location)
    for letter, scaling in (("q", 0.5), ("k", 4.0)):
        name = f"unet.{BASE}.to_{letter}.weight"
        assert_rounded(found[name], state[name].double() + scaling * UP.double() @ DOWN.double())
    write_pair(tmp_path, state, adapter, {"lora_adapter_metadata": json.dumps(settings | {"unet.r": 3})})
    with pytest.raises(MergeError, match="of rank 2, and of 3 by the file's metadata"):
        merge.load(location)


def test_peft_names_with_an_alpha_need_no_configuration(tmp_path: Path) -> None:
    state = {"model.q.weight": normal(6, 4)}
    adapter = {
        "base_model.model.model.q.lora_A.weight": normal(2, 4),
        "base_model.model.model.q.lora_B.weight": normal(6, 2),
    }
    location = write_pair(tmp_path, state, adapter)
    with pytest.raises(MergeError, match=r"has no adapter_config\.json"):
        merge.load(location)
    write_pair(tmp_path, state, adapter | {"base_model.model.model.q.alpha": torch.tensor(6.0)})
    wanted = (
        adapter["base_model.model.model.q.lora_B.weight"].double()
        @ adapter["base_model.model.model.q.lora_A.weight"].double()
    )
    assert_rounded(merge.load(location)["model.q.weight"], state["model.q.weight"].double() + 3 * wanted)
