"""Models elsewhere wherever a model may stand: adapters, alignment, vocabularies, evaluation, bundles, comparisons."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import fsspec
import pytest
from command_line import Result, assert_refused
from fake_hub import commit_of, files_in
from remote_models import adapter_folder, weights
from stand_in import StandIn, repository

Cli = Callable[..., Result]
Models = tuple[Path, Path]


@pytest.fixture
def adapter(hub: StandIn, tmp_path: Path) -> Path:
    folder = adapter_folder(tmp_path / "disk" / "lora")
    hub.models = {**hub.models, "me/lora": repository(folder)}
    return folder


def test_an_adapter_of_the_hub(hub: StandIn, models: Models, adapter: Path, here: Path, cli: Cli) -> None:
    assert cli("soup", f"{models[0]}+{adapter}", models[1], "-o", "local", "--quiet").code == 0
    for number, first in enumerate(["me/a+me/lora", f"{models[0]}+me/lora", f"me/a+{adapter}"]):
        found = cli("soup", first, "me/b", "-o", f"{number}", "--quiet")
        assert found.code == 0, found.err
        assert {**files_in(here / str(number)), "README.md": b""} == {**files_in(here / "local"), "README.md": b""}
    card = Path("0/README.md").read_text()
    assert f"`me/a@{commit_of(files_in(models[0]))}+me/lora@{commit_of(files_in(adapter))}`" in card
    assert "- me/lora" in card
    assert cli("verify", "0").code == 0


def test_two_models_with_one_adapter_are_two(hub: StandIn, models: Models, adapter: Path, here: Path, cli: Cli) -> None:
    found = cli("soup", "me/a+me/lora", "me/b+me/lora", "-o", "out.st", "--json")
    assert len(json.loads(found.out)["inputs"]) == 2
    assert cli("soup", f"{models[0]}+{adapter}", f"{models[1]}+{adapter}", "-o", "local.st", "--quiet").code == 0
    assert Path("out.st").read_bytes() == Path("local.st").read_bytes()


def test_what_is_no_adapter(hub: StandIn, here: Path, cli: Cli) -> None:
    assert_refused(cli("inspect", "me/a+me/b"), 2, "me/b", "this is no adapter")
    assert_refused(cli("inspect", "me/a+me/nobody"), 2, "me/nobody", "the hub has no such model")


def test_an_adapter_in_another_store(models: Models, adapter: Path, here: Path, cli: Cli) -> None:
    filesystem = fsspec.filesystem("memory")
    filesystem.put(str(adapter), "/more/lora", recursive=True)
    try:
        found = cli("cast", f"{models[0]}+memory://more/lora", "-o", "out.st", "--quiet")
    finally:
        filesystem.rm("/more", recursive=True)
    assert found.code == 0, found.err
    assert cli("cast", f"{models[0]}+{adapter}", "-o", "local.st", "--quiet").code == 0
    assert Path("out.st").read_bytes() == Path("local.st").read_bytes()


def test_looking_at_a_model(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    local, found = (json.loads(cli("inspect", name, "--json").out) for name in (models[0], "me/a"))
    assert found.pop("model") == "me/a"
    assert found.pop("notes") == [f"is read from the hub at commit {commit_of(files_in(models[0]))}"]
    del local["model"], local["notes"]
    assert found == local


def test_comparing_models(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    local, found = (json.loads(cli("diff", name, models[1], "--json").out) for name in (models[0], "me/a"))
    assert {**found, "a": ""} == {**local, "a": ""}
    assert hub.sent() == weights(models[0])


def test_layers_of_models_elsewhere(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    for place, (one, two) in {"local": models, "hub": ("me/a", "me/b")}.items():
        parts = [{"model": str(one), "layer_range": "0:2"}, {"model": str(two), "layer_range": "1:3"}]
        Path(f"{place}.yaml").write_text(json.dumps({"merge": "stack", "models": parts}))
        found = cli("run", f"{place}.yaml", "-o", f"{place}.st", "--quiet")
        assert found.code == 0, found.err
    assert Path("hub.st").read_bytes() == Path("local.st").read_bytes()
    assert hub.sent() == sum(map(weights, models))


def test_aligned_models(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    """Rows come in another order than they lie, and as they lie for the content id: a byte is sent once for both."""
    import torch
    from checkpoint_files import save

    shapes = {"up.weight": (300, 400), "up.bias": (300,), "down.weight": (200, 300), "down.bias": (200,)}
    for seed, name in enumerate("ab"):
        generator = torch.Generator().manual_seed(seed)
        state = {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}
        save(here / "disk" / f"mlp-{name}" / "model.safetensors", state)
    folders = [here / "disk" / f"mlp-{name}" for name in "ab"]
    hub.models = {f"me/{folder.name}": repository(folder) for folder in folders}
    flags = ("--groups", "groups.yaml", "--quiet")
    Path("groups.yaml").write_text('groups: {hidden: {members: ["up.weight:0", "up.bias:0", "down.weight:1"]}}')
    local = cli("rebasin", *folders, "-o", "local.st", *flags)
    assert local.code == 0, local.err
    found = cli("rebasin", "me/mlp-a", "me/mlp-b", "-o", "out.st", *flags)
    assert found.code == 0, found.err
    assert Path("out.st").read_bytes() == Path("local.st").read_bytes()
    assert hub.sent() <= 2 * sum(map(weights, folders))  # to find the orders, and to merge


def test_members_of_a_bundle(hub: StandIn, models: Models, here: Path, cli: Cli) -> None:
    refused = cli("moe", "me/a", models[1], "-o", "mix")
    assert_refused(refused, 2, "me/a", "a bundle names its members by their paths", "--copy")
    for folder in models:  # bare checkpoints
        (folder / "config.json").unlink()
    hub.models = {f"me/{path.name}": repository(path) for path in models}
    assert cli("moe", "me/a", "me/b", "--copy", "-o", "mix").code == 0
    assert cli("moe", *models, "--copy", "-o", "local").code == 0
    found, local = (json.loads(Path(name, "merge.json").read_text()) for name in ("mix", "local"))
    assert [each["content_id"] for each in found["members"]] == [each["content_id"] for each in local["members"]]
    assert cli("verify", "mix").code == 0


def test_evaluating_a_model_in_a_store(models: Models, here: Path, cli: Cli) -> None:
    from merge.evaluation.locate import locate

    filesystem = fsspec.filesystem("memory")
    filesystem.put(str(models[1]), "/more/b", recursive=True)
    try:
        candidate, local = locate("memory://more/b").load(), locate(str(models[1])).load()
        assert candidate.identity == local.identity
        assert candidate.folder is not None
        assert (candidate.folder / "config.json").read_bytes() == (models[1] / "config.json").read_bytes()
    finally:
        filesystem.rm("/more", recursive=True)
