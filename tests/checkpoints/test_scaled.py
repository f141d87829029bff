"""8-bit floats with scales, read as 16-bit ones: against a dequantisation in float64, and in whole merges."""

from __future__ import annotations

import json
import random

import pytest
import torch
from checkpoint_files import assert_same, load, save
from command_line import assert_refused
from scaled_models import CONFIG, exact, nearest, plain, random_scaled, save_model

from merge.checkpoints.resolve import open_checkpoint
from merge.checkpoints.writer import MemorySink
from merge.engine import RunSettings, run
from merge.plan import make_plan
from merge.recipe import Merge, Model, Recipe

BLOCKS = CONFIG["quantization_config"]
PLAIN = ("--dtype", "bfloat16")


@pytest.fixture
def family(tmp_path):
    """A plain base and two scaled models, one of them with scales in another file."""
    base = save_model(tmp_path / "base", plain(random_scaled(0)), {"model_type": "tiny", "torch_dtype": "bfloat16"})
    one = save_model(tmp_path / "one", random_scaled(1))
    two = save_model(tmp_path / "two", random_scaled(2, torch.bfloat16), apart=True)
    return base, one, two


@pytest.fixture
def dequantised(tmp_path):
    """The same two models, dequantised beforehand."""
    config = {"model_type": "tiny", "torch_dtype": "bfloat16"}
    return [
        save_model(tmp_path / f"plain{seed}", plain(random_scaled(seed, kind)), config)
        for seed, kind in ((1, torch.float32), (2, torch.bfloat16))
    ]


def read(source, name: str, offset: int, size: int) -> bytes:
    raw = bytearray(size)
    source.read_into(source.tensors[name], offset, memoryview(raw))
    return bytes(raw)


@pytest.mark.parametrize("scale_type", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("apart", [False, True])
def test_values_are_the_exact_products_rounded_once(cli, tmp_path, scale_type, apart):
    state = random_scaled(3, scale_type)
    model = save_model(tmp_path / "model", state, apart=apart)
    assert cli("cast", model, "-o", tmp_path / "out", *PLAIN).code == 0
    assert_same(load(tmp_path / "out"), plain(state))


def test_the_oracle_rounds_as_torch_does():
    values = exact(*(random_scaled(5)[name] for name in ("a.weight", "a.weight_scale_inv")))
    assert torch.equal(nearest(values), values.float().to(torch.bfloat16))


def test_a_product_that_two_roundings_would_spoil(cli, tmp_path):
    """1 + 2^-8 + 2^-25 is above the middle of two bfloat16 numbers, and float32 would round it to the middle."""
    state = {
        "w.weight": torch.tensor([[1.125, -1.125]]).to(torch.float8_e4m3fn),
        "w.weight_scale_inv": torch.tensor([[(1 + 2**-8 + 2**-25) / 1.125]], dtype=torch.float64),
    }
    model = save_model(tmp_path / "model", state)
    assert cli("cast", model, "-o", tmp_path / "out", *PLAIN).code == 0
    product = float(state["w.weight_scale_inv"]) * 1.125
    assert product > 1 + 2**-8
    assert torch.tensor(product).item() == 1 + 2**-8
    assert load(tmp_path / "out")["w.weight"].tolist() == [[1 + 2**-7, -1 - 2**-7]]


def test_every_8_bit_float_with_every_kind_of_scale(tmp_path):
    codes = torch.arange(256, dtype=torch.uint8).view(torch.float8_e4m3fn)
    scales = torch.tensor([[1.0, 3.0, 2.0**-140, 1e38, 0.0, -0.5]], dtype=torch.float32)
    state = {"w.weight": codes.repeat(1, 3).reshape(1, 768), "w.weight_scale_inv": scales}
    source = open_checkpoint(str(save_model(tmp_path / "model", state)))
    raw = read(source, "w.weight", 0, 2 * 768)
    found = torch.frombuffer(bytearray(raw), dtype=torch.bfloat16)
    wanted = exact(state["w.weight"], scales).reshape(-1)
    finite = wanted.isfinite() & (wanted.abs() < 3.38e38)
    assert torch.equal(found[finite].float(), wanted[finite].float().to(torch.bfloat16).float())
    assert found[wanted.isnan()].isnan().all()
    assert found[wanted.abs() > 3.4e38].isinf().all()
    source.close()


@pytest.mark.parametrize("block", [(128, 128), (64, 32), (1, 128), (100, 7)])
def test_blocks_of_any_size(cli, tmp_path, block):
    state = random_scaled(4, block=block)
    config = {**CONFIG, "quantization_config": {**BLOCKS, "weight_block_size": list(block)}}
    model = save_model(tmp_path / "model", state, config)
    assert cli("cast", model, "-o", tmp_path / "out", *PLAIN).code == 0
    assert_same(load(tmp_path / "out"), plain(state, block))


def test_any_range_of_bytes(family):
    """As readers that gather or cut may ask: also from the middle of a number."""
    _, model, _ = family
    state = plain(random_scaled(1))
    source, draw = open_checkpoint(str(model)), random.Random(0)
    for name in ("a.weight", "c.weight", "f.weight", "norm.weight"):
        wanted = state[name].contiguous().view(torch.uint8).numpy().tobytes()
        for _ in range(30):
            first = draw.randrange(len(wanted))
            size = min(len(wanted) - first, draw.choice([0, 1, 2, 3, 399, 400, 401, 4096, 10**7]))
            assert read(source, name, first, size) == wanted[first : first + size]
    source.close()


def test_one_scale_for_a_whole_matrix(cli, tmp_path):
    generator = torch.Generator().manual_seed(0)
    weights = {name: (torch.randn(50, 300, generator=generator) * 50).to(torch.float8_e4m3fn) for name in "pq"}
    scales = {"p": torch.tensor(0.013), "q": torch.tensor([0.7], dtype=torch.bfloat16)}
    state = {f"{n}.weight": w for n, w in weights.items()} | {f"{n}.weight_scale": s for n, s in scales.items()}
    config = {**CONFIG, "quantization_config": {"quant_method": "fp8", "activation_scheme": "dynamic"}}
    model = save_model(tmp_path / "model", state, config)
    assert cli("cast", model, "-o", tmp_path / "out", *PLAIN).code == 0
    wanted = {f"{n}.weight": nearest(w.double() * scales[n].double()) for n, w in weights.items()}
    assert_same(load(tmp_path / "out"), wanted)


def test_experts_in_one_tensor_have_blocks_of_their_own(cli, tmp_path):
    generator = torch.Generator().manual_seed(0)
    weight = (torch.randn(3, 130, 200, generator=generator) * 50).to(torch.float8_e4m3fn)
    scale = torch.rand(3, 2, 2, generator=generator)
    model = save_model(tmp_path / "model", {"experts.up": weight, "experts.up_scale_inv": scale})
    assert cli("cast", model, "-o", tmp_path / "out", *PLAIN).code == 0
    wanted = torch.stack([nearest(exact(one, its)) for one, its in zip(weight, scale, strict=True)])
    assert_same(load(tmp_path / "out"), {"experts.up": wanted})


def test_a_float16_model_stays_one(cli, tmp_path):
    state = random_scaled(6)
    model = save_model(tmp_path / "model", state, {**CONFIG, "torch_dtype": "float16"})
    assert cli("cast", model, "-o", tmp_path / "out", "--dtype", "float16").code == 0
    wanted = exact(state["a.weight"], state["a.weight_scale_inv"]).half()
    assert torch.equal(load(tmp_path / "out")["a.weight"], wanted)


@pytest.mark.parametrize(("method", "more"), [("soup", ()), ("ties", ("--density", "0.4")), ("slerp", ())])
def test_merges_equal_those_of_dequantised_models(cli, family, dequantised, tmp_path, method, more):
    base = ("--base", family[0]) if method == "ties" else ()
    assert cli(method, *family[1:], *base, *more, *PLAIN, "-o", tmp_path / "ours").code == 0
    assert cli(method, *dequantised, *base, *more, "-o", tmp_path / "theirs").code == 0
    assert_same(load(tmp_path / "ours"), load(tmp_path / "theirs"))


@pytest.mark.parametrize("method", ["soup", "ties"])
def test_the_same_bytes_for_any_chunk_and_thread_count(family, method):
    outcomes = set()
    for chunk in (2**16, 2**17, 2**20):
        for threads in (1, 2, 3):
            models = tuple(Model(str(model)) for model in family[1:])
            plan = make_plan(Recipe(Merge(method, models, Model(str(family[0])) if method == "ties" else None)))
            sink = MemorySink(plan.files)
            found = run(plan, sink, RunSettings(threads=threads, chunk_elements=chunk, device="cpu"))
            outcomes.add((found.output_id, *found.input_ids))
            plan.close()
    assert len(outcomes) == 1


def test_a_plain_base_goes_with_scaled_models(cli, family, tmp_path):
    assert cli("ties", *family[1:], "--base", family[0], "-o", tmp_path / "out").code == 0
    assert load(tmp_path / "out").keys() == plain(random_scaled(0)).keys()
    assert json.loads((tmp_path / "out" / "config.json").read_text()) == {
        "model_type": "tiny",
        "torch_dtype": "bfloat16",
    }


def test_the_output_says_nothing_of_quantisation(cli, family, tmp_path):
    result = cli("soup", *family[1:], "-o", tmp_path / "out", *PLAIN)
    assert result.code == 0
    assert "8-bit floats with scales" in result.out
    assert "twice the room" in result.out
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config == {key: value for key, value in CONFIG.items() if key != "quantization_config"}
    assert {tensor.dtype for tensor in load(tmp_path / "out").values()} == {torch.bfloat16}


def test_the_output_is_verified(cli, family, tmp_path):
    assert cli("soup", *family[1:], "-o", tmp_path / "out", *PLAIN).code == 0
    assert cli("verify", tmp_path / "out").code == 0
    state = random_scaled(1)
    state["a.weight_scale_inv"][0, 0] *= 2
    save(family[1] / "model.safetensors", state)
    result = cli("verify", tmp_path / "out", "--json")
    assert result.code == 1
    assert json.loads(result.out)["differing_tensors"] == ["a.weight"]


def test_inspect_and_diff_see_the_values(cli, family, dequantised, tmp_path):
    found = json.loads(cli("inspect", family[1], "--json").out)
    assert {tensor["name"] for tensor in found["tensors"]} == plain(random_scaled(1)).keys()
    assert set(found["dtypes"]) == {"BF16"}
    known = {tensor["name"]: tensor["l2_norm"] for tensor in found["tensors"]}
    assert known["a.weight"] == pytest.approx(plain(random_scaled(1))["a.weight"].double().norm().item())
    assert json.loads(cli("diff", family[1], dequantised[0], "--json").out)["identical"]
    assert not json.loads(cli("diff", family[1], dequantised[1], "--json").out)["identical"]


def test_the_plan_counts_the_bytes_that_are_read(cli, family, tmp_path):
    plan = json.loads(cli("soup", *family[1:], "-o", tmp_path / "out", "--dry-run", "--json", *PLAIN).out)
    states = [random_scaled(1), random_scaled(2, torch.bfloat16)]
    stored = sum(tensor.nbytes for state in states for tensor in state.values())
    assert plan["bytes_read"] == stored
    assert plan["bytes_written"] == sum(tensor.nbytes for tensor in plain(states[0]).values())
    assert not [tensor for tensor in plan["tensors"] if "scale" in tensor["name"]]
    assert plan["skipped"] == []


def test_a_bare_file_needs_no_configuration(cli, tmp_path):
    state = random_scaled(8)
    save(tmp_path / "model.st", state)
    assert cli("cast", tmp_path / "model.st", "-o", tmp_path / "out.st", *PLAIN).code == 0
    assert_same(load(tmp_path / "out.st"), plain(state))


def test_plain_8_bit_floats_stay_as_they_are(cli, tmp_path):
    state = {"w": torch.ones(4, 4).to(torch.float8_e4m3fn)}
    save(tmp_path / "a.st", state)
    assert cli("soup", tmp_path / "a.st", tmp_path / "a.st", "-o", tmp_path / "out.st").code == 0
    assert load(tmp_path / "out.st")["w"].dtype == torch.float8_e4m3fn


def changed(state, **tensors):
    """Return a state with some tensors replaced; None removes one."""
    named = {name.replace("__", "."): tensor for name, tensor in tensors.items()}
    return {name: tensor for name, tensor in {**state, **named}.items() if tensor is not None}


REFUSED = {
    "a scale is missing": ({"a__weight_scale_inv": None}, {}, "'a.weight' is F8_E4M3 and has no scale"),
    "a weight is missing": ({"a__weight": None}, {}, "'a.weight_scale_inv' belongs to no tensor"),
    "a scale of another shape": ({"a__weight_scale_inv": torch.ones(2, 3)}, {}, "does not fit 'a.weight', [300, 200]"),
    "scales are integers": ({"a__weight_scale_inv": torch.ones(3, 2, dtype=torch.int32)}, {}, "which is not known"),
    "two scales": ({"a__weight_scale": torch.ones(())}, {"weight_block_size": None}, "'a.weight' has two scales"),
    "activations": ({"a__input_scale": torch.ones(1)}, {}, "scales activations"),
    "caches": ({"a__k_scale": torch.ones(1)}, {}, "scales activations"),
    "one scale for many blocks": ({"d__weight_scale_inv": torch.ones(1, 1)}, {}, "does not fit 'd.weight', [256, 256]"),
    "static": ({}, {"activation_scheme": "static"}, "static scales of activations"),
    "odd blocks": ({}, {"weight_block_size": [128, 0]}, "weight_block_size [128, 0]"),
    "GPTQ": ({}, {"quant_method": "gptq"}, "states quantised weights (gptq)"),
    "compressed": ({}, {"quant_method": "compressed-tensors"}, "states quantised weights (compressed-tensors)"),
    "AWQ beside": ({"z__qweight": torch.ones(3, dtype=torch.int32)}, {}, "looks like packed weights (GPTQ or AWQ)"),
}


NESTED_REFUSED = {
    "GPTQ": ("quantization_config", {"quant_method": "gptq"}, "states quantised weights (gptq)"),
    "an older key": ("compression_config", {"format": "pack-quantized"}, "states quantised weights (an unnamed"),
    "static": ("quantization_config", {**BLOCKS, "activation_scheme": "static"}, "static scales of activations"),
    "blocks": ("quantization_config", {**BLOCKS, "weight_block_size": [64, 128]}, "in blocks of 64 x 128"),
}


@pytest.mark.parametrize("case", NESTED_REFUSED)
def test_what_a_part_of_the_model_states_counts(cli, family, tmp_path, case):
    key, stated, words = NESTED_REFUSED[case]
    config = {"model_type": "tiny", "thinker_config": {"text_config": {key: stated}}}
    model = save_model(tmp_path / "odd", random_scaled(1), config)
    assert_refused(cli("soup", model, family[2], "-o", tmp_path / "out"), 1, words)


def test_parts_of_a_model_state_blocks_and_types(cli, tmp_path):
    state, block = random_scaled(6, block=(64, 100)), [64, 100]
    part = {"dtype": "float16", "hidden_size": 4, "quantization_config": {**BLOCKS, "weight_block_size": block}}
    model = save_model(tmp_path / "model", state, {"model_type": "tiny", "text_config": part})
    assert cli("cast", model, "-o", tmp_path / "out", "--dtype", "float16").code == 0
    wanted = exact(state["a.weight"], state["a.weight_scale_inv"], (64, 100)).half()
    assert torch.equal(load(tmp_path / "out")["a.weight"], wanted)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config == {"model_type": "tiny", "text_config": {"dtype": "float16", "hidden_size": 4}}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_known_is_refused_with_its_reason(cli, family, tmp_path, case):
    tensors, settings, words = REFUSED[case]
    config = {**CONFIG, "quantization_config": {**BLOCKS, **settings}}
    model = save_model(tmp_path / "odd", changed(random_scaled(1), **tensors), config)
    assert_refused(cli("soup", model, family[2], "-o", tmp_path / "out"), 1, words)
    assert cli("inspect", model).code == 0  # which shows what is there


def test_integers_are_never_averaged(cli, family, tmp_path):
    """A model whose weights are integers beside scales is no model of 8-bit floats."""
    state = {"w.weight": torch.ones(128, 128, dtype=torch.int8), "w.weight_scale_inv": torch.ones(1, 1)}
    model = save_model(tmp_path / "odd", state, {"quantization_config": {"quant_method": "fp8"}})
    assert_refused(cli("soup", model, model, "-o", tmp_path / "out"), 1, "quantised")


def test_what_is_not_finite_is_named(cli, family, tmp_path):
    state = random_scaled(1)
    state["d.weight_scale_inv"][1, 1] = float("inf")
    model = save_model(tmp_path / "odd", state)
    assert_refused(cli("soup", model, family[2], "-o", tmp_path / "out"), 1, "'d.weight' holds an infinity or NaN")


def test_an_adapter_is_baked_into_a_scaled_base(cli, tmp_path):
    state = random_scaled(1)
    base = save_model(tmp_path / "base", state)
    generator = torch.Generator().manual_seed(2)
    factors = {
        "base_model.model.a.lora_A.weight": torch.randn(2, 200, generator=generator),
        "base_model.model.a.lora_B.weight": torch.randn(300, 2, generator=generator),
    }
    save(tmp_path / "adapter" / "adapter_model.safetensors", factors)
    config = {"peft_type": "LORA", "r": 2, "lora_alpha": 2, "target_modules": ["a"], "base_model_name_or_path": "x"}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    assert cli("cast", f"{base}+{tmp_path / 'adapter'}", "-o", tmp_path / "out", *PLAIN).code == 0
    added = factors["base_model.model.a.lora_B.weight"] @ factors["base_model.model.a.lora_A.weight"]
    wanted = plain(state)["a.weight"].float() + added
    assert (load(tmp_path / "out")["a.weight"].float() - wanted).abs().max() < 0.05
    assert "quantization_config" not in json.loads((tmp_path / "out" / "config.json").read_text())
