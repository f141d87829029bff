"""What an outcome says of itself, and whether it can be made again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import torch
from checkpoint_files import load, metadata_of, save
from command_line import contents, run
from made_adapters import configure, factors, write_adapter
from trained_adapters import added, assert_close, llama, train, weighted

Cli = Callable[..., Any]


@pytest.fixture
def folder(here: Path) -> Path:
    for seed, name in ((50, "one"), (60, "two")):
        write_adapter(here / name, factors("layers.0.q", 6, 4, seed=seed) | factors("layers.1.q", 6, 4, seed=seed + 9))
    return here


def config(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "adapter_config.json").read_text())
    return found


def test_metadata_and_card(cli: Cli, folder: Path) -> None:
    (folder / "one" / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "one" / "tokenizer.json").write_text("{}")
    given = ("--method", "dare", "--seed", "3", "--set", "density=0.9,0.8", "--rank", "3", "--skip", "layers.1.*")
    document = json.loads(cli("adapters", "one", "two", "-o", "deep/out", *given, "--json").out)
    found = metadata_of(folder / "deep" / "out" / "adapter_model.safetensors")
    recipe = json.loads(found["merge.recipe"])
    ids = json.loads(found["merge.inputs"])
    assert recipe == {
        "adapters": "dare",
        "models": [{"model": ids[0], "density": 0.9}, {"model": ids[1], "density": 0.8}],
        "rank": 3,
        "skip": ["layers.1.*"],
        "seed": 3,
    }
    assert found["merge.output"] == document["output_id"]
    assert [adapter["content_id"] for adapter in document["adapters"]] == ids
    card = (folder / "deep" / "out" / "README.md").read_text()
    assert "model: ../../one" in card
    assert "license: mit" in card
    assert "base_model: me/base" in card
    assert "library_name: peft" in card
    assert document["copied_files"] == ["tokenizer.json"]
    assert (folder / "deep" / "out" / "tokenizer.json").read_text() == "{}"
    result = cli("verify", "deep/out")
    assert result.code == 0, result.err
    assert "out repeats: 2 tensors" in result.out
    planned = json.loads(cli("adapters", "one", "two", *given, "--dry-run", "--json").out)
    for found in (document, planned):
        jsonschema.validate(found, json.loads(cli("schema", "adapters").out))


@pytest.mark.parametrize(
    "given",
    [
        (),
        ("--method", "task-arithmetic", "--weights", "1,-2", "--set", "scale=0.3"),
        ("--energy", "0.8", "--max-rank", "3"),
        ("--method", "dare", "--seed", "9", "--set", "ties=true"),
        ("--dtype", "bfloat16", "--only", "layers.0.q"),
    ],
)
def test_verify_makes_it_again(cli: Cli, folder: Path, given: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("adapters", "one=0.5", "two", "-o", "out", *given).code == 0
    monkeypatch.chdir("/")
    moved = shutil.move(folder, folder.with_name(f"{folder.name}-moved"))  # a tree of adapters moves as a whole
    document = json.loads(cli("verify", moved / "out", "--json").out)
    assert document["repeats"]
    assert document["changed_inputs"] == []


def test_verify_finds_what_changed(cli: Cli, folder: Path) -> None:
    assert cli("adapters", "one", "two", "-o", "out").code == 0
    configure(folder / "two", lora_alpha=7)
    document = json.loads(cli("verify", "out", "--json").out)
    assert not document["repeats"]
    assert [Path(place).name for place in document["changed_inputs"]] == ["two"]
    assert len(document["differing_tensors"]) == 2  # the scales differ now, so that they are in B
    configure(folder / "two")
    assert cli("verify", "out").code == 0
    shutil.rmtree(folder / "two")
    result = cli("verify", "out")
    assert result.code == 1
    assert "two" in result.err


def test_the_same_settings_stay_as_short_as_they_were(cli: Cli, folder: Path) -> None:
    assert cli("adapters", "one", "two", "-o", "out").code == 0
    assert config(folder / "out")["target_modules"] == ["q", "o", "embed", "conv"]
    assert cli("adapters", "one", "two", "-o", "part", "--skip", "layers.1.q").code == 0
    assert config(folder / "part")["target_modules"] == ["layers.0.q"]


def test_layers_of_each(cli: Cli, here: Path) -> None:
    """Adapters of different layers: the outcome names every module, and PEFT finds rank and alpha of each."""
    for seed, name, layer, rank in ((1, "one", 0, 2), (2, "two", 1, 3)):
        settings = {"target_modules": ["q_proj"], "layers_to_transform": [layer], "r": rank, "lora_alpha": 5}
        train(llama(), here / name, seed, **settings)
    assert cli("adapters", "one", "two", "-o", "out", "--method", "task-arithmetic").code == 0
    wanted = weighted((1.0, added(llama(), here / "one")), (1.0, added(llama(), here / "two")))
    assert_close(added(llama(), here / "out"), wanted)
    found = config(here / "out")
    assert found["target_modules"] == [f"model.layers.{layer}.self_attn.q_proj" for layer in (0, 1)]
    assert len(found["rank_pattern"]) == 1


def test_trained_tokens(cli: Cli, here: Path) -> None:
    settings = {"target_modules": ["q_proj"], "trainable_token_indices": [3, 7]}
    for seed, name in ((1, "one"), (2, "two")):
        train(llama(), here / name, seed, **settings)
    assert cli("adapters", "one", "two", "-o", "out", "--weights", "0.25,0.75").code == 0
    parts = [added(llama(), here / name) for name in ("one", "two", "out")]
    assert float(parts[2]["model.embed_tokens.weight"].norm()) > 0.1
    assert_close(parts[2], weighted((0.25, parts[0]), (0.75, parts[1])))
    train(llama(), here / "other", 3, **settings | {"trainable_token_indices": [4, 7]})
    result = cli("adapters", "one", "other", "-o", "no")
    assert result.code == 1
    assert "other tokens" in result.err


def test_a_failed_run_leaves_nothing(cli: Cli, folder: Path) -> None:
    assert cli("adapters", "one", "two", "-o", "out").code == 0
    tensors = factors("layers.0.q", 6, 4)
    tensors["layers.0.q.lora_A.weight"][0, 0] = torch.inf
    write_adapter(folder / "two", tensors)
    before = contents(folder)
    assert cli("adapters", "one", "two", "-o", "out", "--force").code == 1
    assert contents(folder) == before


def test_the_same_bytes_for_any_number_of_threads(folder: Path) -> None:
    for number in ("1", "3"):
        given = ("--threads", number, "--energy", "0.9", "-o", f"out{number}")
        assert run("adapters", "one", "two", *given, cwd=folder).code == 0
    one, other = (folder / f"out{number}" / "adapter_model.safetensors" for number in ("1", "3"))
    assert one.read_bytes() == other.read_bytes()


def test_older_files_of_pickles_and_names_without_a_prefix(cli: Cli, folder: Path) -> None:
    state = load(folder / "two" / "adapter_model.safetensors")
    (folder / "two" / "adapter_model.safetensors").unlink()
    torch.save(
        {key.replace(".weight", ".default.weight"): value for key, value in state.items()},
        folder / "two" / "adapter_model.bin",
    )
    plain = load(folder / "one" / "adapter_model.safetensors")
    assert cli("adapters", "two", "one", "-o", "out").code == 0
    assert load(folder / "out").keys() == plain.keys()
    save(
        folder / "one" / "adapter_model.safetensors",
        {key.removeprefix("base_model.model."): plain[key] for key in plain},
    )
    assert cli("adapters", "one", "two", "-o", "again").code == 0
    assert load(folder / "again").keys() == plain.keys()
