"""Wide networks as folders: what else can load them, and that they compute what they should."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from command_line import environment
from pleas_networks import classes_of, seeded
from safetensors.torch import load_file

transformers = pytest.importorskip("transformers")

SIZES = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
TOKENS = SIZES | {"vocab_size": 50, "max_position_embeddings": 32}
TOKENS |= {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
SHORT = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 50, "n_positions": 32}
IMAGES = SIZES | {"image_size": 8, "patch_size": 4}
CAT, COW = {0: "cat", 1: "dog"}, {0: "cat", 1: "cow", 2: "pig"}
STAGES = {"embedding_size": 4, "hidden_sizes": [4, 8], "depths": [1, 1], "layer_type": "basic", "num_labels": 3}


def made(name, seed):
    """Return a tiny model of transformers with weights drawn from a seed."""
    named = {
        "llama": lambda: transformers.LlamaForCausalLM(transformers.LlamaConfig(**TOKENS)),
        "bert": lambda: transformers.BertForMaskedLM(transformers.BertConfig(**TOKENS)),
        "gpt2": lambda: transformers.GPT2LMHeadModel(transformers.GPT2Config(bos_token_id=1, eos_token_id=2, **SHORT)),
        "vit": lambda: transformers.ViTForImageClassification(
            transformers.ViTConfig(id2label=COW if seed else CAT, label2id={}, **IMAGES)
        ),
        "resnet": lambda: transformers.ResNetForImageClassification(transformers.ResNetConfig(**STAGES)),
    }
    return seeded(named[name], seed)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Return what writes two models of a kind, once."""
    folder = tmp_path_factory.mktemp("pairs")

    def write(name):
        for seed, letter in enumerate("ab"):
            if not (folder / f"{name}-{letter}").exists():
                made(name, seed).save_pretrained(folder / f"{name}-{letter}")
        return folder / f"{name}-a", folder / f"{name}-b"

    return write


def example(name):
    generator = torch.Generator().manual_seed(1)
    if name in ("vit", "resnet"):
        side = 8 if name == "vit" else 32
        return {"pixel_values": torch.randn(2, 3, side, side, generator=generator)}
    return {"input_ids": torch.randint(3, 50, (2, 7), generator=generator)}


def outputs(model, name):
    with torch.no_grad():
        return model.eval()(**example(name)).logits


def merged(cli, pair, out, *more):
    result = cli("pleas", *pair, "--stand-in", "--samples", "16", "-o", out, *more)
    assert result.code == 0, result.err
    return result


@pytest.mark.parametrize(
    ("name", "key"),
    [("llama", "intermediate_size"), ("bert", "intermediate_size"), ("gpt2", "n_inner"), ("vit", "intermediate_size")],
)
def test_a_configuration_that_says_the_width_is_mended(cli, pairs, tmp_path, name, key):
    pair = pairs(name)
    merged(cli, pair, tmp_path / "out", "--allocation", "even", "--budget", "0.5")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config[key] == (96 if name == "gpt2" else 36)
    assert not (tmp_path / "out" / "load.py").exists()
    loaded, told = type(made(name, 0)).from_pretrained(tmp_path / "out", output_loading_info=True)
    assert [*told["missing_keys"], *told["unexpected_keys"], *told["mismatched_keys"]] == []
    assert outputs(loaded, name).isfinite().all()


def test_classes_lie_side_by_side(cli, pairs, tmp_path):
    pair = pairs("vit")
    merged(cli, pair, tmp_path / "out", "--budget", "1")
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert list(config["id2label"].values()) == ["cat", "dog", "cat (2)", "cow", "pig"]
    assert config["label2id"]["cow"] == 3
    loaded = transformers.ViTForImageClassification.from_pretrained(tmp_path / "out")
    assert outputs(loaded, "vit").shape == (2, 5)


def test_layers_of_other_widths_come_with_a_file_that_loads_them(cli, pairs, tmp_path):
    pair = pairs("resnet")
    merged(cli, pair, tmp_path / "out", "--budget", "1", "--input-shape", "2x3x32x32")
    wanted = sum(outputs(transformers.AutoModelForImageClassification.from_pretrained(one), "resnet") for one in pair)
    assert torch.allclose(by_loader(tmp_path / "out", example("resnet")["pixel_values"]), wanted / 2, atol=1e-5)


def test_a_class_of_ones_own_goes_along(cli, tmp_path):
    small = classes_of(tmp_path)["Small"]
    both = [seeded(small, seed) for seed in (0, 1)]
    for module, letter in zip(both, "ab", strict=True):
        (tmp_path / letter).mkdir()
        torch.save(module.state_dict(), tmp_path / letter / "pytorch_model.bin")
    given = (tmp_path / "a" / "pytorch_model.bin", tmp_path / "b" / "pytorch_model.bin")
    merged(cli, given, tmp_path / "out", "--budget", "1", "--model", f"{tmp_path / 'net.py'}:Small")
    again = ("--model", f"{tmp_path / 'net.py'}:Small", "--force")
    merged(cli, given, tmp_path / "out", "--budget", "1", *again)  # what lies there is known to be a merge's
    assert cli("cast", tmp_path / "out", "--dtype", "float32", "-o", tmp_path / "cast").code == 0
    assert (tmp_path / "cast" / "load.py").exists()
    (tmp_path / "net.py").unlink()
    pixels = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        wanted = (both[0](pixels) + both[1](pixels)) / 2
    assert torch.allclose(by_loader(tmp_path / "out", pixels), wanted, atol=1e-5)


def by_loader(folder, pixels):
    """Return what the network gives that a process without this package loads by ``load.py``."""
    torch.save(pixels, folder / "pixels.pt")
    text = (
        "import sys, torch\n"
        "sys.modules['merge'] = None\n"
        "from load import load\n"
        "with torch.no_grad():\n"
        "    found = load()(torch.load('pixels.pt'))\n"
        "torch.save(getattr(found, 'logits', found), 'found.pt')\n"
    )
    command = [sys.executable, "-c", text]
    ran = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return torch.load(folder / "found.pt")


@pytest.mark.parametrize("name", ["llama", "vit", "resnet"])
def test_our_own_tool_loads_what_it_wrote(pairs, cli, tmp_path, name):
    from merge.alignment.models import traceable
    from merge.evaluation.locate import locate

    more = ("--input-shape", "2x3x32x32") if name == "resnet" else ()
    merged(cli, pairs(name), tmp_path / "out", "--budget", "0.4", *more)
    shape = [2, 3, 32, 32] if name == "resnet" else None
    found = traceable(locate(str(tmp_path / "out")).load(), None, shape)
    stored = load_file(tmp_path / "out" / "model.safetensors")
    assert {key: tuple(place.shape) for key, place in found.places.items()} == {
        key: tuple(one.shape) for key, one in stored.items() if key in found.places
    }
    assert len(found.places) > 10
