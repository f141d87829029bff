"""Code in a model's folder, or code on the hub that a configuration names, is never run, and nobody is asked."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checkpoint_files import random_state, save
from command_line import Result, assert_refused
from hostile_folders import change, mark_of, put_code, with_code
from tiny_clip import OPEN_CLIP_NAME, make_open_clip, make_tokenizer
from tiny_language_models import make_llama
from tiny_language_models import save as save_language_model
from tiny_models import example_arrays, make_classifier

Cli = Callable[..., Result]
ASKED = "the terminal was asked"


@pytest.fixture(autouse=True)
def _alone(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, caches of the test's own, and a user who would agree to anything."""
    monkeypatch.setenv("MERGE_CACHE", str(here / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(here / "modules"))
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail(ASKED))


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``image``, ``text`` and ``clip``: folders of sound models; ``clip`` is one of open_clip."""
    top = tmp_path_factory.mktemp("sound")
    make_classifier(0).save_pretrained(top / "image")
    save_language_model(make_llama(), top / "text")
    folder = top / "clip"
    folder.mkdir()
    make_open_clip(folder)
    (folder / "open_clip.safetensors").rename(folder / "open_clip_model.safetensors")
    make_tokenizer(folder)
    return top


@pytest.fixture
def benchmarks(here: Path) -> None:
    """``image.yaml``, ``clip.yaml`` and ``text.yaml``."""
    np.savez(here / "image.npz", **example_arrays())
    np.savez(here / "clip.npz", **example_arrays(channels=3))
    (here / "image.yaml").write_text("kind: classification\ndata: {path: image.npz}\n")
    (here / "clip.yaml").write_text("kind: zero-shot\ndata: {path: clip.npz}\nclasses: [fox, crane, bee]\n")
    (here / "words.txt").write_text("the cat and the dog\n")
    (here / "text.yaml").write_text("kind: perplexity\ndata: {path: words.txt}\n")


def open_clip_folder(sound: Path, folder: Path, **text: Any) -> Path:
    """A folder of open_clip with code, whose configuration says more of its texts."""
    shutil.copytree(sound / "clip", folder)
    put_code(folder)
    tokenizer = {"auto_map": {"AutoTokenizer": ["own.OwnTokenizer"] * 2}, "tokenizer_class": "OwnTokenizer"}
    change(folder / "tokenizer_config.json", **tokenizer)
    config = json.loads((folder / f"{OPEN_CLIP_NAME}.json").read_text())
    config["text_cfg"] |= text
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config, "preprocess_cfg": {}}))
    return folder


@pytest.mark.usefixtures("benchmarks")
def test_a_model_that_transformers_knows_runs_without_its_own_code(cli: Cli, here: Path, sound: Path) -> None:
    folder = with_code(sound / "image", here / "model")
    result = cli("eval", "model", "--benchmark", "image.yaml", "--quiet")
    assert result.code == 0, result.err
    assert not mark_of(folder).exists()


TYPES: dict[str, tuple[dict[str, Any], str]] = {
    "of its own": ({"model_type": "own"}, "custom code"),
    "a class that picks one": ({"architectures": ["AutoModelForImageClassification"]}, "no architecture"),
    "one that would pick code": ({"architectures": ["AutoModelForCausalLM"]}, "no architecture"),
    "a function": ({"architectures": ["pipeline"]}, "no architecture 'pipeline'"),
    "no text": ({"architectures": [3]}, "no architecture '3'"),
}


@pytest.mark.parametrize("case", TYPES)
@pytest.mark.usefixtures("benchmarks")
def test_architectures_that_are_no_models_of_transformers(cli: Cli, here: Path, sound: Path, case: str) -> None:
    changes, words = TYPES[case]
    folder = with_code(sound / "image", here / "model", **changes)
    result = cli("eval", "model", "--benchmark", "image.yaml", "--quiet")
    assert_refused(result, 1, "model", words, "never run", "--model FILE.py:Class")
    assert not mark_of(folder).exists()


FISHER = ("calibrate", "fisher", "model", "--data", "words.txt", "--samples", "2", "-o", "f.safetensors", "--quiet")
COMMANDS = {
    "eval": ("eval", "model", "--benchmark", "text.yaml", "--quiet"),
    "calibrate": FISHER,
    "explain": ("rebasin", "model", "other", "--explain"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.usefixtures("benchmarks")
def test_every_command_that_runs_models(cli: Cli, here: Path, sound: Path, command: str) -> None:
    folders = [with_code(sound / "text", here / name, model_type="own") for name in ("model", "other")]
    result = cli(*COMMANDS[command])
    assert_refused(result, 1, "model: cannot read the configuration", "custom code", "never run")
    assert not any(mark_of(folder).exists() for folder in folders)


def test_merging_reads_no_code(cli: Cli, here: Path, sound: Path) -> None:
    folders = [with_code(sound / "text", here / name, model_type="own") for name in ("model", "other")]
    result = cli("soup", "model", "other", "-o", "out", "--quiet")
    assert result.code == 0, result.err
    assert not any(mark_of(folder).exists() for folder in folders)


def test_a_tokenizer_that_is_code_is_not_merged(cli: Cli, here: Path, sound: Path) -> None:
    folder = with_code(sound / "text", here / "model")
    (here / "r.yaml").write_text("merge: soup\nmodels: [model, model]\noutput: {tokenizer: union}\n")
    assert_refused(cli("run", "r.yaml", "-o", "out", "--quiet"), 1, "tokenizer is code", "never run")
    assert not mark_of(folder).exists()
    assert not (here / "out").exists()


TEXTS: dict[str, dict[str, Any]] = {
    "as it is": {"hf_tokenizer_name": "x"},
    "asking for it": {"hf_tokenizer_name": "x", "tokenizer_kwargs": {"trust_remote_code": True}},
    "a text model of code": {"hf_model_name": "evil", "hf_proj_type": "linear", "hf_pooler_type": "mean_pooler"},
}


@pytest.mark.parametrize("case", TEXTS)
@pytest.mark.usefixtures("benchmarks")
def test_text_towers_of_open_clip(cli: Cli, here: Path, sound: Path, case: str) -> None:
    evil = with_code(sound / "text", here / "evil", model_type="own")
    folder = open_clip_folder(sound, here / "model", **TEXTS[case])
    result = cli("eval", "model", "--benchmark", "clip.yaml", "--quiet")
    assert_refused(result, 1, "custom code")
    assert not mark_of(folder).exists()
    assert not mark_of(evil).exists()


KERNELS: dict[str, dict[str, Any]] = {
    "of the model": {"_attn_implementation": "evil/kernel"},
    "under the public name": {"attn_implementation": {"": "evil/kernel@main"}},
    "of a part": {"text_config": {"attn_implementation": "kernels-community/flash-attn2"}},
    "in a list": {"layers": [{"_experts_implementation": "evil/kernel:name"}]},
}


@pytest.mark.parametrize("case", KERNELS)
@pytest.mark.usefixtures("benchmarks")
def test_kernels_of_the_hub(cli: Cli, here: Path, sound: Path, case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "transformers.modeling_utils.lazy_import_flash_attention"
    monkeypatch.setattr(name, lambda *_, **__: pytest.fail("kernels were asked for"), raising=False)
    with_code(sound / "image", here / "model", **KERNELS[case])
    result = cli("eval", "model", "--benchmark", "image.yaml", "--quiet")
    assert_refused(result, 1, "names the kernels", "code from the hub")


def test_kernels_are_not_asked_for_where_names_are_looked_up(here: Path, sound: Path) -> None:
    from merge.adapters.loaded_names import build_network
    from merge.errors import MergeError

    config = json.loads((sound / "text" / "config.json").read_text())
    assert build_network(config)
    with pytest.raises(MergeError, match="names the kernels"):
        build_network(config | {"_attn_implementation": "evil/kernel"})


@pytest.mark.usefixtures("benchmarks")
def test_a_class_beside_weights_is_named_and_not_run(cli: Cli, here: Path) -> None:
    folder = here / "model"
    save(folder / "model.safetensors", random_state(0))
    code = f"import pathlib, torch\npathlib.Path({str(mark_of(folder))!r}).touch()\nclass Own(torch.nn.Module): pass\n"
    (folder / "own.py").write_text(code)
    result = cli("eval", "model", "--benchmark", "image.yaml", "--quiet")
    assert_refused(result, 2, "config.json")
    result = cli("eval", "model", "--model", "model", "--benchmark", "image.yaml", "--quiet")
    assert_refused(result, 2, "no config.json", "did you mean model/own.py:Own")
    assert not mark_of(folder).exists()
