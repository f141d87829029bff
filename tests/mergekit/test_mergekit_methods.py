"""Every method of mergekit, by hand and against the same merge in our own grammar."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from checkpoint_files import load, save
from method_recipes import AB, BASE, CASES, VECTORS

from merge.mergekit.methods import METHODS


@pytest.fixture
def vectors(here: Path) -> Path:
    for name, values in VECTORS.items():
        save(here / f"{name}.st", {"w": torch.tensor(values)})
    return here


def merged(cli: Any, folder: Path, text: str, *more: str) -> torch.Tensor:
    (folder / "recipe.yml").write_text(text)
    result = cli("run", "recipe.yml", "-o", "out.st", "--force", *more)
    assert result.code == 0, result.err
    return load(folder / "out.st")["w"]


def test_all_methods_are_here():
    assert CASES.keys() == METHODS.keys()
    assert len(METHODS) == 20


@pytest.mark.parametrize("name", CASES)
def test_by_hand(cli, vectors, name):
    found = merged(cli, vectors, f"merge_method: {name}\n{CASES[name].theirs}")
    torch.testing.assert_close(found, torch.tensor(CASES[name].expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", CASES)
def test_as_in_our_grammar(cli, vectors, name):
    theirs = merged(cli, vectors, f"merge_method: {name}\n{CASES[name].theirs}")
    assert torch.equal(theirs, merged(cli, vectors, CASES[name].ours))


@pytest.mark.parametrize("name", CASES)
def test_printed_recipe_gives_the_same_bytes(cli, vectors, tmp_path, name):
    merged(cli, vectors, f"merge_method: {name}\n{CASES[name].theirs}dtype: bfloat16\n")
    wanted = (vectors / "out.st").read_bytes()
    printed = cli("run", "recipe.yml", "--print-recipe")
    assert printed.code == 0, printed.err
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "ours.yaml").write_text(printed.out)
    assert "merge_method" not in printed.out
    assert cli("run", elsewhere / "ours.yaml", "-o", "again.st").code == 0
    assert (vectors / "again.st").read_bytes() == wanted


# What `base_model` is for each method, whether it is among the models or not.


@pytest.mark.parametrize("name", sorted(set(CASES) - {"linear", "nuslerp", "multislerp", "karcher", "passthrough"}))
def test_a_base_among_the_models(cli, vectors, name):
    text = CASES[name].theirs
    base = "flat" if name == "arcee_fusion" else "east" if name == "slerp" else "base"
    entry = f"{{model: {base}.st}}"
    if entry in text:
        other = text.replace(f"{entry}, ", "")
    else:
        other = text.replace("models: [", f"models: [{entry}, ").replace("models:\n", f"models:\n- {entry}\n")
    assert other != text
    head = f"merge_method: {name}\n"
    assert torch.equal(merged(cli, vectors, head + other), merged(cli, vectors, head + text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("linear\n" + AB + BASE + "parameters: {weight: 1}\n", [34 / 3, 9.0, 32 / 3, 10.0]),
        ("linear\n" + AB + "base_model: b.st\nparameters: {weight: 1}\n", [12.0, 8.5, 11.0, 10.0]),
        ("karcher\nmodels: [{model: east.st}]\nbase_model: far-north.st\n", [1.5 * 0.5**0.5] * 2),
        ("karcher\nmodels: [{model: a.st}]\n", VECTORS["a"]),
        ("linear\nmodels: [{model: a.st, parameters: {weight: 0.5}}]\n", VECTORS["a"]),
        (
            "linear\nmodels: [{model: a.st, parameters: {weight: 0.5}}]\nparameters: {normalize: false}\n",
            [5.5, 4.0, 5.0, 7.0],
        ),
        ("multislerp\nmodels: [{model: a.st}]\n" + BASE + "parameters: {weight: 0.5}\n", VECTORS["a"]),
        ("nuslerp\n" + AB + BASE + "parameters: {weight: 1}\n", None),
        ("passthrough\nmodels: [{model: a.st}]\nbase_model: a.st\n", VECTORS["a"]),
    ],
    ids=lambda value: value.replace("\n", " ") if isinstance(value, str) else "",
)
def test_base_and_few_models(cli, vectors, text, expected):
    found = merged(cli, vectors, f"merge_method: {text}")
    if expected is None:
        ours = "merge: nuslerp\nbase: base.st\nmodels: [{model: a.st, weight: 1}, {model: b.st, weight: 1}]\n"
        assert torch.equal(found, merged(cli, vectors, ours))
    else:
        torch.testing.assert_close(found, torch.tensor(expected), rtol=1e-6, atol=1e-6)


def test_the_base_gives_the_type_where_its_values_count_for_nothing(cli, vectors):
    save(vectors / "b.st", {"w": torch.tensor(VECTORS["b"], dtype=torch.bfloat16)})
    text = "merge_method: linear\n" + AB + "base_model: b.st\nparameters: {weight: 1}\n"
    assert merged(cli, vectors, text).dtype == torch.bfloat16
    assert "more than once" not in cli("run", "recipe.yml", "-o", "out.st", "--force").err


@pytest.mark.parametrize(
    ("more", "dtype"),
    [
        ("dtype: bfloat16\n", torch.bfloat16),
        ("dtype: torch.float16\n", torch.float16),
        ("dtype: float32\nout_dtype: bfloat16\n", torch.bfloat16),
        ("dtype: null\nout_dtype: float64\n", torch.float64),
        ("", torch.float32),
    ],
)
def test_type_of_the_output(cli, vectors, more, dtype):
    assert merged(cli, vectors, "merge_method: linear\n" + AB + "parameters: {weight: 1}\n" + more).dtype == dtype


@pytest.mark.parametrize(("density", "kept"), [(0, False), (0.01, True), (0.5, True), (1, True)])
def test_ties_on_a_tensor_of_one_element(cli, here, density, kept):
    for name, value in (("base", 1.0), ("a", 3.0)):
        save(here / f"{name}.st", {"w": torch.tensor([value])})
    text = f"models: [{{model: a.st}}]\n{BASE}parameters: {{weight: 1, density: {density}}}\n"
    assert merged(cli, here, "merge_method: ties\n" + text).tolist() == [3.0 if kept else 1.0]


def test_nuslerp_of_every_vector_along_the_last_axis(cli, here):
    """Right angles turn by a quarter of them; vectors on one line, or in opposite directions, are averaged."""
    save(here / "a.st", {"w": torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])})
    save(here / "b.st", {"w": torch.tensor([[0.0, 1.0], [3.0, 0.0], [0.0, -2.0]])})
    models = "models:\n- {model: a.st, parameters: {weight: 3}}\n- {model: b.st, parameters: {weight: 1}}\n"
    found = merged(cli, here, "merge_method: nuslerp\n" + models + "parameters: {nuslerp_flatten: false}\n")
    eighth = torch.tensor(torch.pi / 8)
    wanted = torch.tensor([[float(eighth.cos()), float(eighth.sin())], [1.5, 0.0], [0.0, 1.0]])
    torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("name", ["slerp", "nuslerp"])
def test_zeros_have_no_angle(cli, here, name):
    """The run says so: mergekit takes a right angle, and cos(pi/4) in the place of 1/2."""
    for key, values in (("zeros", [0.0, 0.0]), ("ones", [1.0, 1.0])):
        save(here / f"{key}.st", {"w": torch.tensor(values)})
    models = "models: [{model: zeros.st}, {model: ones.st}]\n"
    more = "base_model: zeros.st\nparameters: {t: 0.5}\n" if name == "slerp" else "parameters: {weight: 1}\n"
    assert merged(cli, here, f"merge_method: {name}\n" + models + more).tolist() == [0.5, 0.5]
