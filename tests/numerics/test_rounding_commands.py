"""`--rounding` on the command line and in recipes: written down, repeated by verify, refused where it means nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import torch
from checkpoint_files import load, metadata_of, random_state, save
from command_line import Result, assert_refused
from rounding_models import models
from ruamel.yaml import YAML

from merge.schema import SCHEMAS
from merge.streaming.stochastic import Draws, drawn

Cli = Callable[..., Result]


def test_integers_copies_and_wide_types_are_as_ever(here: Path, cli: Cli) -> None:
    wide = {"wide": torch.randn(100, dtype=torch.float64), "kept": torch.randn(100, dtype=torch.float32)}
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", random_state(seed) | wide)
    assert cli("soup", "a.st", "b.st", "-o", "n.st", "--keep", "kept").code == 0
    assert cli("soup", "a.st", "b.st", "-o", "s.st", "--keep", "kept", "--rounding", "stochastic").code == 0
    near, found = load(here / "n.st"), load(here / "s.st")
    for name in ("steps", "wide", "kept"):
        assert torch.equal(near[name], found[name])
    assert not torch.equal(near["embed.weight"], found["embed.weight"])


def test_workers_write_the_same_file_and_verify_repeats_it(here: Path, cli: Cli) -> None:
    _, a, b = models(here)
    command = ["soup", a, b, "--weights", "0.3,0.7", "--rounding", "stochastic", "--seed", "9"]
    for name, flags in {"one": ("--threads", 1), "two": ("--workers", 2)}.items():
        assert cli(*command, "-o", f"{name}.st", *flags).code == 0
    assert (here / "one.st").read_bytes() == (here / "two.st").read_bytes()
    assert cli("verify", "one.st").code == 0
    described = json.loads(metadata_of(here / "one.st")["merge.recipe"])
    assert described["output"] == {"rounding": "stochastic"}
    assert described["seed"] == 9
    card = here / "one.st.md"
    card.write_text(card.read_text().replace("rounding: stochastic", "rounding: nearest"))
    assert cli("verify", "one.st").code == 1


def test_casts_are_rounded_and_repeated_too(here: Path, cli: Cli) -> None:
    state = {"w": torch.randn(5000), "kept": torch.randn(9), "large": torch.tensor([1e6, -1e6, 1.0])}
    save(here / "a.st", state)
    flags = ("--dtype", "float16", "--rounding", "stochastic", "--seed", "3", "--overflow", "saturate")
    result = cli("cast", "a.st", "-o", "c.st", *flags, "--keep", "kept")
    assert result.code == 0
    found = load(here / "c.st")
    assert torch.equal(found["kept"], state["kept"])
    assert found["large"].tolist() == [65504.0, -65504.0, 1.0]
    wanted = drawn(state["w"].numpy(), "F16", Draws(3, "w").at(0, 5000))
    assert (found["w"].view(torch.uint16).numpy() == wanted.view(np.uint16)).all()
    assert cli("verify", "c.st").code == 0


def test_where_nothing_is_rounded_it_is_refused(here: Path, cli: Cli) -> None:
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", random_state(seed, torch.float32))
    words = ("stochastic rounding means nothing", "--dtype")
    assert_refused(cli("soup", "a.st", "b.st", "-o", "o.st", "--rounding", "stochastic"), 2, *words)
    assert_refused(cli("cast", "a.st", "-o", "o.st", "--rounding", "stochastic"), 2, *words)
    assert cli("soup", "a.st", "b.st", "-o", "o.st", "--rounding", "stochastic", "--dtype", "float16").code == 0


def test_recipes_flags_and_the_plan(here: Path, cli: Cli) -> None:
    models(here)
    text = "merge: soup\nmodels: [0.st, 1.st]\noutput:\n  path: o.st\n  rounding: {}\n  overflow: saturate\n"
    (here / "r.yaml").write_text(text.format("stochastik"))
    assert_refused(cli("run", "r.yaml"), 2, "r.yaml:5:3", "nearest, stochastic", "did you mean 'stochastic'")
    (here / "r.yaml").write_text(text.format("stochastic"))
    jsonschema.validate(YAML(typ="safe").load(here / "r.yaml"), SCHEMAS["recipe"]())
    shown = cli("run", "r.yaml", "--dry-run").out
    assert "rounding overflow saturate, rounding stochastic" in shown
    printed = cli("run", "r.yaml", "--print-recipe").out
    assert "rounding: stochastic" in printed
    assert "overflow: saturate" in printed
    assert cli("run", "r.yaml").code == 0
    assert cli("run", "r.yaml", "-o", "n.st", "--rounding", "nearest", "--overflow", "error").code == 0
    assert cli("soup", "0.st", "1.st", "-o", "w.st").code == 0
    assert (here / "n.st").read_bytes() == (here / "w.st").read_bytes()
    assert (here / "o.st").read_bytes() != (here / "w.st").read_bytes()
    assert_refused(cli("soup", "0.st", "1.st", "-o", "x.st", "--overflow", "clip"), 2, "error, saturate", "clip")
