"""Inputs that are cut short, exchanged, rewritten or removed while a merge reads them."""

from __future__ import annotations

import shutil

import pytest
from checkpoint_files import load, save
from faults_forks import READ, STOP, Surroundings, at
from faults_forms import FORMS
from faults_judge import judge_clean

CHANGES = {
    "cut short": "truncate -s 3000 {a}",
    "exchanged": "cp {c} {a}.new && mv {a}.new {a}",
    "rewritten": "cat {c} > {a}",
    "removed": "rm {a}",
}


@pytest.fixture
def inputs(shop):
    """The folder of inputs, as it was afterwards."""
    kept = shop.folder / "kept"
    shutil.copytree(shop.inputs, kept)
    yield shop.inputs
    shutil.rmtree(shop.inputs)
    kept.rename(shop.inputs)


@pytest.mark.parametrize("name", ["file", "bundle-moe"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_mix_of_two_states_is_never_written(shop, inputs, name, change):
    known = shop.known(FORMS[name], replaces=False)
    program = CHANGES[change].format(a=inputs / "a.st", c=inputs / "c.st")
    calls = shop.calls(known, READ)
    seen = set()
    original = (inputs / "a.st").read_bytes()
    for number in range(2, calls + 1, 5):
        around = Surroundings(meanwhile=["/bin/sh", "-c", program])
        ending, found = shop.run(known, at(STOP, number), around)
        if ending.code == 0:
            assert found == known.after or change in ("exchanged", "rewritten")
            assert found == known.after or is_of_new_input(shop, known)
        else:
            assert judge_clean(known, found) == []
            assert ending.err.startswith("merge: "), ending.err
            assert "a.st" in ending.err
            assert "unexpected" not in ending.err
        seen.add(ending.code)
        (inputs / "a.st").unlink(missing_ok=True)
        (inputs / "a.st").write_bytes(original)
    assert seen & {1, 2}


def is_of_new_input(shop, known) -> bool:
    """Tell whether what was written is made of the changed input as a whole: it was changed before it was planned."""
    made = load_all(shop.folder / "work")
    again = shop.forks.run((*known.form.arguments, "--force"), shop.folder / "work")
    assert again.code == 0, again.err
    return made == load_all(shop.folder / "work")


def load_all(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.st"))} | {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*.safetensors"))
    }


def test_an_input_that_becomes_shorter_in_a_file_of_torch_save(shop, inputs):
    """Its tensors are mapped in places: a page that is gone must be an error, not a signal."""
    import torch

    torch.save(load(inputs / "a.st"), inputs / "a.bin")
    save(inputs / "b2.st", load(inputs / "b.st"))
    work = shop.folder / "pickled"
    work.mkdir(exist_ok=True)
    arguments = ("soup", inputs / "a.bin", inputs / "b2.st", "--threads", "1", "-o", "out.st", "--force")
    original = (inputs / "a.bin").read_bytes()
    total = shop.forks.run(arguments, work, at(STOP, 0), under=inputs, learn=True).seen
    assert total > 0
    for number in range(1, total + 1, max(1, total // 8)):
        (inputs / "a.bin").write_bytes(original)
        around = Surroundings(meanwhile=["/bin/sh", "-c", f"truncate -s 100 {inputs / 'a.bin'}"])
        ending = shop.forks.run(arguments, work, at(STOP, number), around, under=inputs)
        assert ending.code in (0, 1, 2), (number, ending)
        assert "unexpected" not in ending.err, ending.err
