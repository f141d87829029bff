"""`merge extract-lora` as a command: what it prints, what it refuses, what it leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest
import torch
from checkpoint_files import save
from command_line import Result, assert_refused, contents, run
from safetensors.torch import load_file
from torch import Tensor

Cli = Callable[..., Result]
LINE = ("extract-lora", "tuned.st", "--base", "base.st", "--rank", 2, "-o", "out")


def state(seed: int = 0) -> dict[str, Tensor]:
    torch.manual_seed(seed)
    shapes = {
        "embed_tokens.weight": (20, 8),
        "layers.0.q.weight": (6, 8),
        "layers.0.q.bias": (6,),
        "layers.1.q.weight": (6, 8),
        "layers.1.q.bias": (6,),
        "conv.weight": (5, 3, 2, 2),
        "depthwise.weight": (5, 1, 2, 2),
        "norm.weight": (8,),
        "class_token": (1, 8),
    }
    return {name: torch.randn(shape) for name, shape in shapes.items()} | {"norm.count": torch.tensor(3)}


def save_pair(here: Path, changes: dict[str, Tensor] | None = None) -> None:
    base = state()
    save(here / "base.st", base)
    more = {name: 0.1 * tensor for name, tensor in state(9).items()} if changes is None else changes
    tuned = base | {name: base.get(name, 0) + tensor for name, tensor in more.items()}
    save(here / "tuned.st", tuned | {"norm.count": base["norm.count"]})


@pytest.fixture
def models(here: Path) -> Path:
    save_pair(here)
    return here


def test_says_what_is_in_it_and_what_is_not(models: Path, cli: Cli) -> None:
    result = cli(*LINE)
    assert result.code == 0, result.err
    assert "5 tensors differ that factors cannot hold ('class_token'" in result.err
    assert "--whole auto" in result.err
    kinds = {line.split()[0]: line.split()[1:3] for line in result.out.splitlines()}
    assert (kinds["q"], kinds["embed_tokens"], kinds["conv"]) == (["2", "2"], ["1", "2"], ["1", "2"])
    assert "wrote out (4 layers, factors in float32" in result.out
    assert sorted(path.name for path in (models / "out").iterdir()) == [
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    card = (models / "out" / "README.md").read_text()
    for words in ("library_name: peft", "What `../tuned.st` has beyond `../base.st`", "extract-lora: ../tuned.st"):
        assert words in card
    assert "| q | 2 | 2 |" in card
    assert "5 tensors differ that factors cannot hold" in card


def test_json_follows_its_schema(models: Path, cli: Cli) -> None:
    schema = json.loads(cli("schema", "extract-lora").out)
    for more in ((), ("--dry-run",)):
        result = cli(*LINE, "--json", *more, "--force")
        document = json.loads(result.out)
        jsonschema.validate(document, schema)
        assert [one["module"] for one in document["modules"]] == ["conv", "embed_tokens", "layers.0.q", "layers.1.q"]
        reasons = {one["tensor"]: one["reason"] for one in document["left"]}
        assert reasons["norm.weight"] == "a vector"
        assert reasons["depthwise.weight"] == reasons["class_token"] == "no layer that PEFT adapts"
        assert document["bytes"] == 4 * 2 * ((20 + 8) + 2 * (6 + 8) + (5 + 12))
    assert "norm.count" in reasons  # headers do not tell that it is the same in both
    assert document["output_id"] is None


def test_everything_is_saved_whole_that_factors_cannot_hold(models: Path, cli: Cli) -> None:
    document = json.loads(cli(*LINE, "--whole", "auto", "--json").out)
    assert document["left"] == []
    assert document["warnings"] == []
    found = load_file(models / "out" / "adapter_model.safetensors")
    tuned = load_file(models / "tuned.st")
    names = {name.removeprefix("base_model.model.").replace(".base_layer", ""): name for name in found}
    for name in ("layers.0.q.bias", "layers.1.q.bias", "norm.weight", "norm.count", "class_token", "depthwise.weight"):
        assert torch.equal(found[names[name]], tuned[name])
    config = json.loads((models / "out" / "adapter_config.json").read_text())
    assert sorted(config["modules_to_save"]) == ["depthwise", "norm"]
    assert config["bias"] == "all"
    assert cli("passthrough", "base.st+out", "-o", "baked.st").code == 0
    baked = load_file(models / "baked.st")
    for name in ("norm.weight", "layers.0.q.bias", "class_token"):
        assert torch.equal(baked[name], tuned[name])


def test_only_what_differs_is_in_it(here: Path, cli: Cli) -> None:
    save_pair(here, {"layers.1.q.weight": torch.randn(6, 1) @ torch.randn(1, 8)})
    result = cli("extract-lora", "tuned.st", "--base", "base.st", "--energy", 1, "-o", "out", "--json")
    document = json.loads(result.out)
    assert [(one["module"], one["rank"]) for one in document["modules"]] == [("layers.1.q", 1)]
    assert (document["left"], document["warnings"]) == ([], [])
    assert json.loads((here / "out" / "adapter_config.json").read_text())["target_modules"] == ["layers.1.q"]


def test_integers_that_differ_are_told(here: Path, cli: Cli) -> None:
    save_pair(here, {"layers.1.q.weight": torch.ones(6, 8)})
    tuned = load_file(here / "tuned.st") | {"norm.count": torch.tensor(4)}
    save(here / "tuned.st", tuned)
    assert "1 tensor differs that factors cannot hold ('norm.count')" in cli(*LINE).err
    assert json.loads(cli(*LINE, "--force", "--whole", "auto", "--json").out)["left"] == []


def test_what_only_one_has(here: Path, cli: Cli) -> None:
    save_pair(here, {"layers.1.q.weight": torch.ones(6, 8), "score.weight": torch.ones(2, 8)})
    base = load_file(here / "base.st") | {"lm_head.weight": torch.ones(20, 8)}
    save(here / "base.st", base)
    result = cli(*LINE, "--json")
    assert [one["tensor"] for one in json.loads(result.out)["left"]] == ["score.weight"]
    assert cli(*LINE, "--force", "--whole", "score*").code == 0
    found = load_file(here / "out" / "adapter_model.safetensors")
    assert torch.equal(found["base_model.model.score.weight"], torch.ones(2, 8))
    save(here / "base.st", base | {"layers.2.q.weight": torch.ones(6, 8)})
    assert_refused(cli(*LINE, "--force"), 1, "tuned.st: lacks the layer 'layers.2.q.weight'", "--skip")
    assert cli(*LINE, "--force", "--skip", "layers.2.*").code == 0


def test_ranks_above_a_layer_are_capped_and_told(models: Path, cli: Cli) -> None:
    result = cli("extract-lora", "tuned.st", "--base", "base.st", "--rank", 7, "-o", "out")
    assert result.code == 0
    assert "rank 7 is more than 'conv' of shape [5, 3, 2, 2] has and 2 more: it gets 5" in result.err
    factors = load_file(models / "out" / "adapter_model.safetensors")
    assert factors["base_model.model.layers.1.q.lora_B.weight"].shape == (6, 6)
    assert cli("passthrough", "base.st+out", "-o", "baked.st").code == 0
    tuned, baked = load_file(models / "tuned.st"), load_file(models / "baked.st")
    assert torch.allclose(tuned["conv.weight"], baked["conv.weight"], atol=1e-6)


def test_same_bytes_for_any_threads_and_from_16_bits(models: Path, cli: Cli) -> None:
    weights = models / "out" / "adapter_model.safetensors"
    found = set()
    for threads in (1, 2, 5):
        assert cli(*LINE, "--threads", threads, "--force").code == 0
        found.add(weights.read_bytes())
    assert len(found) == 1
    for name in ("base", "tuned"):
        assert cli("cast", f"{name}.st", "--dtype", "bfloat16", "-o", f"half-{name}.st").code == 0
    for dtype in ("float32", "bfloat16"):
        half = ("extract-lora", "half-tuned.st", "--base", "half-base.st", "--rank", 2, "-o", dtype)
        assert cli(*half, *(() if dtype == "float32" else ("--dtype", dtype))).code == 0
        found = load_file(models / dtype / "adapter_model.safetensors")
        assert {tensor.dtype for tensor in found.values()} == {getattr(torch, dtype)}


def test_verify_extracts_again(models: Path, cli: Cli) -> None:
    assert cli(*LINE, "--whole", "auto", "--skip", "conv").code == 0
    result = cli("verify", "out")
    assert (result.code, "repeats" in result.out) == (0, True)
    tuned = load_file(models / "tuned.st")
    save(models / "tuned.st", tuned | {"layers.0.q.weight": tuned["layers.0.q.weight"] + 0.1})
    result = cli("verify", "out", "--json")
    assert result.code == 1
    document = json.loads(result.out)
    assert document["changed_inputs"] == [str(models / "tuned.st")] or document["changed_inputs"] == ["../tuned.st"]
    assert "base_model.model.layers.0.q.lora_A.weight" in document["differing_tensors"]
    (models / "tuned.st").unlink()
    assert_refused(cli("verify", "out"), 1, "tuned.st")


def test_inputs_of_every_kind(models: Path, cli: Cli) -> None:
    assert cli(*LINE).code == 0
    for name in ("base", "tuned"):
        torch.save(load_file(models / f"{name}.st"), models / f"{name}.pt")
    assert cli("extract-lora", "tuned.pt", "--base", "base.pt", "--rank", 2, "-o", "pickled").code == 0
    weights = "adapter_model.safetensors"
    one, other = (load_file(models / folder / weights) for folder in ("out", "pickled"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    result = cli("extract-lora", "base.st+out", "--base", "base.st", "--energy", 1, "-o", "again", "--json")
    assert {one["rank"] for one in json.loads(result.out)["modules"]} == {2}
    again = load_file(models / "again" / weights)
    for name in ("layers.0.q", "layers.1.q"):
        keys = [f"base_model.model.{name}.lora_{part}.weight" for part in "BA"]
        products = [found[keys[0]] @ found[keys[1]] for found in (one, again)]
        assert torch.allclose(*products, atol=1e-5)


def test_an_output_is_replaced_only_when_it_is_ours(models: Path, cli: Cli) -> None:
    assert cli(*LINE).code == 0
    before = contents(models)
    assert_refused(cli(*LINE), 2, "out: the output exists", "--force")
    assert cli(*LINE, "--rank", 2, "--force").code == 0
    assert contents(models) == before
    (models / "out" / "notes.txt").write_text("mine")
    assert_refused(cli(*LINE, "--force"), 2, "notes.txt")
    assert_refused(cli("extract-lora", "tuned.st", "--base", "base.st", "--rank", 2, "-o", "x.st"), 2, "a folder")


def test_a_failure_leaves_nothing(models: Path, cli: Cli) -> None:
    tuned = load_file(models / "tuned.st")
    tuned["layers.0.q.weight"][0, 0] = float("nan")
    save(models / "tuned.st", tuned)
    before = contents(models)
    assert_refused(cli(*LINE), 1, "tuned.st: tensor 'layers.0.q.weight' holds an infinity or NaN", "such numbers too")
    assert contents(models) == before


@pytest.mark.parametrize(
    ("more", "code", "words"),
    [
        (("--rank", 0), 2, ("--rank must be at least 1",)),
        (("--energy", 1.2), 2, ("at most 1",)),
        (("--energy", "nan"), 2, ("--energy",)),
        ((), 2, ("neither --rank nor --energy", "--rank 16")),
        (("--rank", 2, "--energy", 0.5), 2, ("both",)),
        (("--rank", 2, "--max-rank", 4), 2, ("--max-rank",)),
        (("--rank", 2, "--embeddings", "lroa"), 2, ("did you mean 'lora'",)),
        (("--rank", 2, "--dtype", "float8_e4m3fn"), 2, ("float32, float16 or bfloat16",)),
        (("--rank", 2, "--only", "/(/"), 2, ("--only", "no regular expression")),
        (("--rank", 2, "--only", "nothing"), 1, ("no layer is chosen", "--only")),
        (("--rank", 2, "--skip", "*"), 1, ("no layer is chosen", "--skip")),
        (("--rank", 2, "--device", "cuda:7"), 2, ("cuda:7",)),
    ],
)
def test_wrong_requests(models: Path, cli: Cli, more: tuple[object, ...], code: int, words: tuple[str, ...]) -> None:
    before = contents(models)
    assert_refused(cli("extract-lora", "tuned.st", "--base", "base.st", "-o", "out", *more), code, *words)
    assert contents(models) == before


def test_models_that_do_not_fit(models: Path, cli: Cli) -> None:
    same = ("--rank", 2, "-o", "out")
    assert_refused(cli("extract-lora", "base.st", "--base", "base.st", *same), 2, "the same files")
    save(models / "copy.st", load_file(models / "base.st"))
    assert_refused(cli("extract-lora", "copy.st", "--base", "base.st", *same), 1, "difference from base.st is 0")
    save(models / "other.st", {"x.weight": torch.ones(3, 3)})
    assert_refused(cli("extract-lora", "tuned.st", "--base", "other.st", *same), 1, "another architecture")
    assert_refused(cli("extract-lora", "tuned.st", *same), 2, "--base")
    assert_refused(cli("extract-lora", "tuned.st", "--base", "gone", *same), 2, "gone")
    assert cli(*LINE).code == 0
    assert_refused(cli("extract-lora", "out", "--base", "base.st", "--rank", 2, "-o", "out2"), 2, "adapter")
    wide = load_file(models / "base.st") | {"layers.0.q.weight": torch.ones(6, 9)}
    save(models / "wide.st", wide)
    result = cli("extract-lora", "wide.st", "--base", "base.st", *same[:-1], "out3")
    assert_refused(result, 1, "'layers.0.q.weight' is [6, 9], and [6, 8] in base.st", "--skip")


def test_only_vectors_differ(here: Path, cli: Cli) -> None:
    save_pair(here, {"norm.weight": torch.ones(8)})
    assert_refused(cli(*LINE), 1, "no chosen layer differs", "'norm.weight'", "--whole auto")
    assert cli(*LINE, "--whole", "auto").code == 0
    config = json.loads((here / "out" / "adapter_config.json").read_text())
    assert (config["target_modules"], config["modules_to_save"]) == ([], ["norm"])


def test_a_dry_run_reads_headers_and_imports_nothing_heavy(models: Path) -> None:
    result = run(*LINE, "--dry-run", cwd=models)
    assert result.code == 0, result.err
    assert "layers.0.q    linear       6 x 8" in result.out
    assert "at most 4 layers, factors in float32" in result.out
    assert not (models / "out").exists()
    words = [*map(str, LINE), "--dry-run", "--json", "--quiet"]
    look = "sys.stderr.write(str({'torch', 'numpy'} & set(sys.modules)))"
    script = f"import sys; from merge.cli import main; main({words}); {look}"
    done = subprocess.run([sys.executable, "-c", script], cwd=models, capture_output=True, text=True, check=True)
    assert done.stderr == "set()"


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_finds_the_same_energy(models: Path, cli: Cli) -> None:
    documents = [json.loads(cli(*LINE, "--force", "--json", "--device", device).out) for device in ("cpu", "cuda")]
    assert documents[1]["device"].startswith("cuda")
    for one, other in zip(*(document["modules"] for document in documents), strict=True):
        assert one["energy"] == pytest.approx(other["energy"], abs=1e-5)
