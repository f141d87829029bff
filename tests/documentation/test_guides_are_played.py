"""The tutorial, the how-to pages and the page on benchmarks run as they are written, on small stand-ins."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from documentation.blocks import Block
from documentation.play import Cli, play, printed, python
from documentation.worlds import diffusion_models, digit_models, llamas
from image_files import write_folder
from tiny_clip import make_clip
from tiny_language_models import make_bert
from tiny_language_models import save as save_model

TEXT = "the cat said yes. the dog said no. " * 8
BLOOD = 16


def clips(folder: Path, *names: str) -> None:
    """Write a small CLIP, and models that were moved a little from it."""
    for seed, name in enumerate(names):
        model, generator = make_clip(folder / name), torch.Generator().manual_seed(seed)
        for parameter in model.parameters():
            parameter.data += 0.01 * bool(seed) * torch.randn(parameter.shape, generator=generator)
        model.save_pretrained(folder / name)


def pictures(folder: Path, name: str) -> None:
    for split in ("train", "test"):
        write_folder(folder / name / split, each=4)


def own_network(folder: Path) -> None:
    """Write a network of somebody's own, two of its runs as torch.save has them, and images to classify."""
    (folder / "model.py").write_text(
        "from torch import nn\n\n\nclass Network(nn.Sequential):\n"
        "    def __init__(self):\n        super().__init__(nn.Flatten(), nn.Linear(3 * 32 * 32, 3))\n"
    )
    for number in (1, 2):
        weights = {"module.1.weight": torch.full((3, 3 * 32 * 32), 0.01 * number), "module.1.bias": torch.zeros(3)}
        torch.save({"epoch": number, "state_dict": weights}, folder / f"run-{number}.pt")
    pictures(folder, "pictures")


def test_the_tutorial(here: Path, cli: Cli, short_demo: None, short_strangers: None) -> None:
    play("tutorial.md", cli, printed, printed, "ties.yaml", printed, printed, printed, printed, printed)
    assert "Nothing was selected on the data reported here" in (here / "report" / "report.md").read_text()


def test_language_models(here: Path, cli: Cli) -> None:
    pytest.importorskip("lm_eval")
    llamas(here / "org", ("base", "chat", "code"))
    (here / "text.txt").write_text(TEXT)
    (here / "tasks").mkdir()
    items = [{"question": f"{'cat' if number % 2 else 'dog'}?", "label": number % 2} for number in range(8)]
    (here / "questions.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
    play("how-to-llm.md", cli, "llm.yaml", "text.yaml", "tasks/our_questions.yaml", "questions.yaml")
    assert (here / "report" / "report.html").is_file()


def test_clip(here: Path, cli: Cli) -> None:
    clips(here, "clip", "tuned-1", "tuned-2", "tuned-3")
    pictures(here, "pictures")
    pictures(here, "held-out")
    (here / "held-out.yaml").write_text("kind: zero-shot\ndata: {path: held-out, split: test}\n")
    play("how-to-clip.md", cli, "task.yaml", "shifted.yaml")


def test_medical(here: Path, cli: Cli) -> None:
    clips(here, "clip", "expert")
    images = np.random.default_rng(0).integers(0, 256, (BLOOD, 8, 8, 3), dtype=np.uint8)
    np.savez(here / "bloodmnist.npz", test_images=images, test_labels=np.arange(BLOOD)[:, None] % 8)
    play("how-to-medical.md", cli, "blood.yaml", "blood-shifted.yaml")


def test_stable_diffusion(here: Path, cli: Cli) -> None:
    diffusion_models(here)
    play("how-to-stable-diffusion.md", cli, "final.yaml")


def test_adapters(here: Path, cli: Cli) -> None:
    llamas(here, ("base", "chat", "code"))
    (here / "text.txt").write_text(TEXT)
    (here / "text.yaml").write_text("{kind: perplexity, data: {path: text.txt}, context: 16}\n")
    play("how-to-lora.md", cli, "lora.yaml")


def test_benchmarks(here: Path, cli: Cli) -> None:
    def rough(block: Block, _: Cli) -> None:
        Path("rough.yaml").write_text(block.text)

    def texts(block: Block, call: Cli) -> None:
        name = block.text.splitlines()[0].removeprefix("name: ")
        Path(f"{name}.yaml").write_text(block.text)
        result = call("eval", name, "--benchmark", f"{name}.yaml")
        assert result.code == 0, (block.where, result.err)

    digit_models(here / "demo", ("base", "tuned-1", "tuned-2", "tuned-3"))
    save_model(make_bert("BertForSequenceClassification"), here / "opinions")
    llamas(here, ("manual",))
    (here / "opinions.jsonl").write_text('{"text": "yes yes", "label": 1}\n{"text": "no", "label": 0}\n' * 4)
    (here / "manual.txt").write_text(TEXT)
    own_network(here)
    play("writing-a-benchmark.md", cli, python, "leaning.yaml", "pictures.yaml", "groups.yaml", rough, texts, texts)
    rows = json.loads((here / "rough-report" / "results.json").read_text())["results"]
    assert len({row["benchmark"] for row in rows}) == 10
