"""What cannot become one adapter, said before anything is written; and adapters in the place of models."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import State, load, save
from command_line import assert_refused
from made_adapters import PREFIX, base_state, configure, factors, normal, write_adapter

import merge
from merge.adapters.recognising import is_adapter
from merge.errors import UsageError

Cli = Callable[..., Any]


@pytest.fixture
def folder(here: Path) -> Path:
    """A base and two adapters of it."""
    save(here / "base" / "model.safetensors", base_state())
    for seed, name in ((50, "one"), (60, "two")):
        write_adapter(here / name, factors("layers.0.q", 6, 4, seed=seed))
    return here


def refused(cli: Cli, folder: Path, code: int, *words: str, given: tuple[str, ...] = ()) -> None:
    before = sorted(folder.rglob("*"))
    assert_refused(cli("adapters", "one", "two", "-o", "out", *given), code, *words)
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--method", "tis"), ("did you mean 'ties'",)),
        (("--method", "fisher"), ("needs data or statistics", "merge extract-lora")),
        (("--method", "regmean-pp"), ("needs data or statistics",)),
        (("--method", "rebasin"), ("one order",)),
        (("--method", "stack"), ("takes parts",)),
        (("--method", "t3"), ("bundle",)),
        (("--method", "lines"), ("exactly one model",)),
        (("--method", "model-stock", "--weights", "1,2"), ("model-stock has no weights",)),
        (("--set", "density=0.3"), ("soup has no option 'density'",)),
        (("--method", "ties", "--set", "densty=0.3"), ("did you mean 'density'",)),
        (("--method", "ties", "--set", "density=2"), ("density must be",)),
        (("--method", "ties", "--set", "density=a"), ("'a'", "not a number")),
        (("--method", "ties", "--set", "density"), ("OPTION=VALUE",)),
        (("--method", "ties", "--set", "normalize=7"), ("true or false",)),
        (("--weights", "1,2,3"), ("3 value(s) for 2",)),
        (("--rank", "0"), ("at least 1",)),
        (("--energy", "1.5"), ("at most 1",)),
        (("--rank", "2", "--energy", "0.5"), ("both given",)),
        (("--max-rank", "2"), ("limits --energy",)),
        (("--dtype", "int8"), ("unknown dtype",)),
        (("--dtype", "float8_e4m3fn"), ("not read by PEFT",)),
        (("--device", "cuda"), ("means nothing",)),
        (("--only", "x*"), ("no module",)),
        (("--only", "/(/"), ("no regular expression",)),
    ],
)
def test_wrong_requests(cli: Cli, folder: Path, given: tuple[str, ...], words: tuple[str, ...]) -> None:
    refused(cli, folder, 2, *words, given=given)


def test_outputs_in_the_way(cli: Cli, folder: Path) -> None:
    assert_refused(cli("adapters", "one", "two"), 2, "give -o OUT")
    assert_refused(cli("adapters", "one", "two", "-o", "one", "--force"), 2, "one of the inputs")
    assert_refused(cli("adapters", "one", "two", "-o", "out.safetensors"), 2, "leave .safetensors out")
    assert cli("adapters", "one", "two", "-o", "out").code == 0
    assert_refused(cli("adapters", "one", "two", "-o", "out"), 2, "--force replaces it")
    assert cli("adapters", "two", "one", "-o", "out", "--force").code == 0
    assert_refused(cli("adapters", "one", "two", "-o", "base", "--force"), 2, "base")


def test_models_and_nothing_in_the_place_of_adapters(cli: Cli, folder: Path) -> None:
    assert_refused(cli("adapters", "one", "tow", "-o", "out"), 2, "tow")
    (folder / "base" / "config.json").write_text("{}")
    assert_refused(cli("adapters", "one", "base", "-o", "out"), 2, "this is a model", "merge soup")
    (folder / "two" / "adapter_model.safetensors").unlink()
    refused(cli, folder, 2, "has no adapter_model.safetensors")


def test_kinds_that_are_no_sum(cli: Cli, folder: Path) -> None:
    tensors = factors("layers.0.q", 6, 4)
    write_adapter(folder / "two", tensors | {"layers.0.q.lora_magnitude_vector": normal(6)}, use_dora=True)
    refused(cli, folder, 1, "DoRA", "merge extract-lora")
    write_adapter(folder / "two", tensors, peft_type="LOHA")
    refused(cli, folder, 1, "LOHA")
    write_adapter(folder / "two", tensors, peft_type="IA3")
    refused(cli, folder, 1, "IA3")
    write_adapter(folder / "two", tensors, init_lora_weights="pissa")
    refused(cli, folder, 1, "pissa")


def test_other_bases(cli: Cli, folder: Path) -> None:
    configure(folder / "one", base_model_name_or_path="/data/models/Base/")
    assert cli("adapters", "one", "two", "-o", "same").code == 0
    configure(folder / "two", base_model_name_or_path="you/other")
    refused(cli, folder, 1, "you/other", "/data/models/Base", "--force-base")
    assert cli("adapters", "one", "two", "-o", "out", "--force-base").code == 0
    assert cli("verify", "out").code == 0
    configure(folder / "two", base_model_name_or_path=None)
    assert cli("adapters", "one", "two", "-o", "unsaid").code == 0


def test_parts_that_do_not_fit(cli: Cli, folder: Path) -> None:
    write_adapter(folder / "two", factors("layers.0.q", 5, 4))
    refused(cli, folder, 1, "two", "'layers.0.q' adds [5, 4]", "[6, 4]", "different bases")
    write_adapter(folder / "two", factors("layers.0.q", 6, 4, rank=3))
    refused(cli, folder, 1, "its rank is 2")
    tensors = factors("layers.0.q", 6, 4)
    write_adapter(folder / "two", {name: tensor for name, tensor in tensors.items() if "_A" in name})
    refused(cli, folder, 1, "lacks its lora_B")
    write_adapter(folder / "two", {name: tensor.to(torch.int32) for name, tensor in tensors.items()})
    refused(cli, folder, 1, "I32")


def test_what_only_one_trained_whole(cli: Cli, folder: Path) -> None:
    tensors = factors("layers.0.q", 6, 4) | {"head.weight": normal(10, 4)}
    write_adapter(folder / "two", tensors, modules_to_save=["head"])
    refused(cli, folder, 1, "'head.weight' was trained whole in two", "--skip")
    assert cli("adapters", "one", "two", "-o", "out", "--skip", "head*").code == 0
    write_adapter(folder / "one", tensors | {"head.weight": normal(9, 4)}, modules_to_save=["head"])
    refused(cli, folder, 1, "[10, 4], and [9, 4]")
    assert_refused(cli("adapters", "two=0.5", "-o", "new"), 2, "without the base's")


@pytest.mark.parametrize("method", ["soup", "ties"])
def test_numbers_that_are_not_finite(cli: Cli, folder: Path, method: str) -> None:
    tensors = factors("layers.0.q", 6, 4)
    tensors["layers.0.q.lora_A.weight"][0, 0] = torch.nan
    write_adapter(folder / "two", tensors)
    refused(cli, folder, 1, "finite" if method == "soup" else "layers.0.q", given=("--method", method))


def test_numbers_that_are_too_large(cli: Cli, folder: Path) -> None:
    tensors = {name: tensor * 1e4 for name, tensor in factors("layers.0.q", 6, 4).items()}
    write_adapter(folder / "two", tensors)
    given = ("--method", "task-arithmetic", "--weights", "1,100")
    refused(cli, folder, 1, "entries beyond F16", "--dtype", given=("--dtype", "float16", *given))
    assert cli("adapters", "one", "two", "-o", "out", "--dtype", "bfloat16", *given).code == 0


def test_nothing_is_left(cli: Cli, folder: Path) -> None:
    refused(cli, folder, 1, "is 0 in every module", given=("--weights", "0,0"))
    for name in ("one", "two"):
        tensors = factors("layers.0.q", 6, 4)
        write_adapter(folder / name, tensors | {"layers.0.q.lora_B.weight": torch.zeros(6, 2)})
    refused(cli, folder, 1, "is 0 in every module")
    refused(cli, folder, 1, "is 0 in every module", given=("--method", "ties"))


def test_adapters_in_the_place_of_models(cli: Cli, folder: Path) -> None:
    words = ("one: this is an adapter", "merge adapters A B -o OUT")
    assert_refused(cli("soup", "one", "two", "-o", "out"), 2, *words)
    assert_refused(cli("soup", "base", "one/adapter_model.safetensors", "-o", "out"), 2, "this is an adapter")
    assert_refused(cli("ties", "one", "two", "--base", "base", "-o", "out"), 2, *words)
    assert_refused(cli("cast", "one", "-o", "out", "--dtype", "bfloat16"), 2, *words)
    (folder / "recipe.yaml").write_text("merge: soup\nmodels: [base+one, two]\noutput: {path: out}\n")
    assert_refused(cli("run", "recipe.yaml"), 2, "recipe.yaml:2", "two: this is an adapter")
    kohya = {"lora_unet_a.lora_down.weight": normal(2, 4), "lora_unet_a.lora_up.weight": normal(6, 2)}
    save(folder / "k.safetensors", kohya | {"lora_unet_a.alpha": torch.tensor(1.0)})
    assert_refused(cli("soup", "k.safetensors", "k.safetensors", "-o", "out"), 2, "this is an adapter")
    state = load(folder / "one" / "adapter_model.safetensors")
    with pytest.raises(UsageError, match="this is an adapter"):
        merge.merge_state_dicts([state, dict(state)])
    assert cli("inspect", "one").code == 0
    assert not (folder / "out").exists()


def test_models_with_adapters_in_them_are_models(cli: Cli, folder: Path) -> None:
    """Some models have an adapter of each modality beside every weight, and many more factors than weights."""
    state: State = {}
    for layer in range(40):
        name = f"model.layers.{layer}.qkv_proj"
        state[f"{name}.base_layer.weight"] = normal(4, 4, seed=layer)
        for kind in ("vision", "speech"):
            state[f"{name}.lora_A.{kind}.weight"] = normal(2, 4)
            state[f"{name}.lora_B.{kind}.weight"] = normal(4, 2)
    assert not is_adapter(state)
    save(folder / "m.st", state)
    assert cli("soup", "m.st", "base/../m.st", "-o", "out.st").code == 0
    plain = {f"model.layers.{number}.weight": 0 for number in range(10_000)}
    assert not is_adapter(plain)
    assert is_adapter(
        [*(f"{PREFIX}layers.{n}.q.lora_{x}.weight" for n in range(500) for x in "AB"), f"{PREFIX}head.weight"]
    )


def test_a_plan_reads_headers_only(cli: Cli, folder: Path) -> None:
    path = folder / "two" / "adapter_model.safetensors"
    raw = path.read_bytes()
    path.write_bytes(raw[:-40] + b"\xff" * 40)  # NaN, as numbers
    result = cli("adapters", "one", "two", "--dry-run", "--method", "ties", "--json")
    document = json.loads(result.out)
    assert document["modules"] == [
        {
            "module": "layers.0.q",
            "kind": "linear",
            "shape": [6, 4],
            "ranks": [2, 2],
            "rank": 2,
            "energy": None,
            "norm": None,
            "relative_error": None,
            "bytes": 80,
        }
    ]
    assert not (folder / "out").exists()
    assert "layers.0.q  6x4     2+2    2     80" in cli("adapters", "one", "two", "--dry-run", "--method", "ties").out
    assert_refused(cli("adapters", "one", "two", "-o", "out", "--method", "ties"), 1, "layers.0.q")
