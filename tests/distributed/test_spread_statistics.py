"""Statistics by several processes: the same files, notes and merge as by one; and where others cannot help."""

from __future__ import annotations

from pathlib import Path

import pytest
from command_line import assert_refused, contents

pytestmark = pytest.mark.slow
MODELS = ("one", "two", "three")
DATA = ("--data", "first.yaml", "--samples", 12)


def notes(result) -> list[str]:
    assert result.code == 0, result.err
    return [line for line in result.out.splitlines() if line.startswith("note: ")]


@pytest.mark.parametrize("method", ["fisher", "regmean"])
def test_the_same_files_as_by_one_process(cli, classifiers_here, method):
    alone = cli(method, *MODELS, *DATA, "-o", "out.st")
    for path in ("out.st", "out.st.statistics"):
        Path(path).rename(f"alone-{path}")
    Path("alone-out.st.README.md").unlink(missing_ok=True)
    spread = cli(method, *MODELS, *DATA, "-o", "out.st", "--workers", 2, "--force")
    assert notes(spread) == notes(alone)
    assert len(contents(Path("out.st.statistics"))) == 3
    assert contents(Path("out.st.statistics")) == contents(Path("alone-out.st.statistics"))
    assert Path("out.st").read_bytes() == Path("alone-out.st").read_bytes()


def test_what_is_there_is_used_again(cli, classifiers_here):
    arguments = ("regmean", *MODELS, *DATA, "-o", "out.st", "--workers", 2)
    assert cli(*arguments).code == 0
    Path("out.st.statistics/gram-2.safetensors").unlink()
    again = notes(cli(*arguments, "--force"))
    assert sum("the statistics are there already" in line for line in again) == 2
    assert len(list(Path("out.st.statistics").iterdir())) == 3


def test_a_nested_recipe(cli, classifiers_here):
    Path("recipe.yaml").write_text(
        "merge: soup\nmodels:\n- one\n- model: {merge: fisher, models: [two, three], data: first.yaml}\n"
    )
    for name, flags in {"1.st": (), "2.st": ("--workers", 2)}.items():
        assert cli("run", "recipe.yaml", *flags, "-o", name).code == 0
    assert Path("1.st").read_bytes() == Path("2.st").read_bytes()
    assert len(list(Path("2.st.statistics").iterdir())) == 2


def test_what_a_worker_finds_wrong(cli, classifiers_here):
    Path("bad.yaml").write_text("kind: classification\ndata: {path: first.npz, images: nothing}\n")
    arguments = ("fisher", *MODELS, "--data", "bad.yaml", "-o", "out.st", "--threads", 1, "--quiet")
    alone = cli(*arguments)
    assert_refused(alone, 2, "nothing")
    assert cli(*arguments, "--workers", 2).err == alone.err
    assert not Path("out.st").exists()


def test_block_by_block_is_the_work_of_one_process(cli, classifiers_here):
    arguments = ("regmean-pp", "one", "two", "--base", "base", *DATA, "-o")
    said = "note: Gram matrices are gathered, block by block, by this process; --workers and --engine are for the merge"
    assert not any(line.startswith(said) for line in notes(cli(*arguments, "1.st")))
    assert any(line.startswith(said) for line in notes(cli(*arguments, "2.st", "--workers", 2)))
    assert Path("1.st").read_bytes() == Path("2.st").read_bytes()


def test_from_python(classifiers_here):
    from merge import merge
    from merge.engine import RunSettings
    from merge.execute import WriteSettings
    from merge.recipe import Merge, Model, Recipe

    for name, settings in {"1.st": RunSettings(), "2.st": RunSettings(workers=2)}.items():
        parts = tuple(Model(model, data="first.yaml") for model in ("one", "two"))
        merge(Recipe(Merge("fisher", parts)), out=name, settings=WriteSettings(run=settings))
    assert Path("1.st").read_bytes() == Path("2.st").read_bytes()
