"""One checkpoint of parts of several, by the names of tensors."""

from __future__ import annotations

import torch
from checkpoint_files import load, random_state, save
from command_line import assert_refused


def state_of(seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    names = ("vision_tower.weight", "language_model.weight", "projector.weight")
    return {name: torch.randn(3, 3, generator=generator) for name in names}


def write(tmp_path, text):
    for seed, name in enumerate("abc"):
        save(tmp_path / f"{name}.st", state_of(seed))
    (tmp_path / "recipe.yaml").write_text(text)
    return tmp_path / "recipe.yaml"


def test_the_first_pattern_that_fits_counts(tmp_path, cli):
    text = """
        merge: join
        models:
          - {model: c.st, match: "vision_tower.*"}
          - {model: {merge: soup, models: [a.st, b.st]}, match: "/^(vision|language)/"}
          - b.st
    """
    result = cli("run", write(tmp_path, text), "-o", tmp_path / "out.st")
    assert result.code == 0, result.err
    found, (a, b, c) = load(tmp_path / "out.st"), (state_of(seed) for seed in range(3))
    assert torch.equal(found["vision_tower.weight"], c["vision_tower.weight"])
    assert torch.allclose(found["language_model.weight"], (a["language_model.weight"] + b["language_model.weight"]) / 2)
    assert torch.equal(found["projector.weight"], b["projector.weight"])
    assert cli("verify", tmp_path / "out.st").code == 0


def test_the_command_joins(tmp_path, cli):
    write(tmp_path, "")
    result = cli(
        "join", tmp_path / "a.st", tmp_path / "b.st", "--matches", "vision_tower.*,*", "-o", tmp_path / "out.st"
    )
    assert result.code == 0, result.err
    assert torch.equal(load(tmp_path / "out.st")["vision_tower.weight"], state_of(0)["vision_tower.weight"])


def test_a_pattern_that_fits_nothing_is_refused(tmp_path, cli):
    path = write(tmp_path, 'merge: join\nmodels: [{model: a.st, match: "tower.*"}, b.st]\n')
    assert_refused(cli("run", path, "-o", tmp_path / "out.st"), 2, "tower.*", "matches no tensor", "recipe.yaml:2")


def test_parts_of_different_checkpoints_make_one(tmp_path, cli):
    """Models need not have the same tensors."""
    save(tmp_path / "head.st", {"head.weight": torch.ones(2)})
    save(tmp_path / "body.st", random_state(1))
    (tmp_path / "recipe.yaml").write_text("merge: join\nmodels: [body.st, head.st]\n")
    result = cli("run", tmp_path / "recipe.yaml", "-o", tmp_path / "out.st")
    assert result.code == 0, result.err
    assert load(tmp_path / "out.st").keys() == {*random_state(1), "head.weight"}
