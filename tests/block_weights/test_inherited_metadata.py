"""Metadata of single files: the first model's own are kept, less what is not true of a merge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from checkpoint_files import load, metadata_of, random_state, save

MERGED = ["soup", "a.safetensors", "b.safetensors", "-o", "o.safetensors"]


def own(path: Path) -> dict[str, str]:
    return {key: value for key, value in metadata_of(path).items() if not key.startswith("merge.")}


def test_a_merge_has_a_title_of_its_own(trained: Path, cli: Callable[..., Any]) -> None:
    result = cli(*MERGED)
    assert own(trained / "o.safetensors") == {
        "format": "pt",
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.architecture": "stable-diffusion-v1",
        "modelspec.title": "Model A + Model B",
        "modelspec.merged_from": "Model A, Model B",
        "ss_output_name": "first",
    }
    said = result.out + result.err
    assert "left out of the metadata of a.safetensors: modelspec.date, modelspec.hash_sha256" in said
    assert "the output's modelspec.title is 'Model A + Model B'" in said
    assert "repeats" in cli("verify", "o.safetensors").out


def test_a_base_is_one_of_the_models_it_is_merged_from(trained: Path, cli: Callable[..., Any]) -> None:
    assert cli("task-arithmetic", "b.safetensors", "--base", "a.safetensors", "-o", "o.safetensors").code == 0
    found = own(trained / "o.safetensors")
    assert found["modelspec.title"] == "Model B (merged)"
    assert found["modelspec.merged_from"] == "Model B, Model A"


def test_models_without_a_title(trained: Path, cli: Callable[..., Any]) -> None:
    save(trained / "b.safetensors", load(trained / "b.safetensors"))
    assert cli(*MERGED).code == 0
    found = own(trained / "o.safetensors")
    assert found["modelspec.title"] == "Model A (merged)"
    assert "modelspec.merged_from" not in found


def test_the_name_of_a_recipe_is_the_title(trained: Path, cli: Callable[..., Any]) -> None:
    text = "merge: soup\nname: My mix\nmodels: [a.safetensors, b.safetensors]\noutput: o.safetensors\n"
    (trained / "recipe.yaml").write_text(text)
    assert cli("run", "recipe.yaml").code == 0
    assert own(trained / "o.safetensors")["modelspec.title"] == "My mix"


def test_a_copy_keeps_all_but_its_hash(trained: Path, cli: Callable[..., Any]) -> None:
    before = metadata_of(trained / "a.safetensors")
    assert cli("cast", "a.safetensors", "-o", "o.safetensors").code == 0
    del before["modelspec.hash_sha256"]
    assert own(trained / "o.safetensors") == before | {"format": "pt"}


def test_the_types_of_parts_are_not_those_of_a_cast(here: Path, cli: Callable[..., Any]) -> None:
    metadata = {"modelspec.title": "M", "modelspec.unet_dtype": "bf16", "sshs_model_hash": "12"}
    save(here / "a.st", random_state(1), metadata)
    assert cli("cast", "a.st", "-o", "o.st", "--dtype", "float32").code == 0
    assert own(here / "o.st") == {"format": "pt", "modelspec.title": "M"}


def test_other_metadata_are_left_alone(here: Path, cli: Callable[..., Any]) -> None:
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", random_state(seed), {"title": name, "date": "today"})
    result = cli("soup", "a.st", "b.st", "-o", "o.st")
    assert own(here / "o.st") == {"format": "pt", "title": "a", "date": "today"}
    assert "metadata" not in result.out + result.err
