"""Merges into other file systems of fsspec, and places that take no output."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Result, assert_refused
from output_models import assert_like

Cli = Callable[..., Result]
Models = tuple[Path, Path]


def _below(filesystem: Any, folder: str) -> dict[str, bytes]:
    return {path.removeprefix(f"{folder}/"): filesystem.cat_file(path) for path in filesystem.find(folder)}


def test_a_folder_in_another_file_system(memory: Any, models: Models, here: Path, cli: Cli) -> None:
    common = ("--max-shard-size", "150KB", "--quiet")
    assert cli("soup", *models, "-o", "local", *common).code == 0
    found = cli("soup", *models, "-o", "memory://some/out", *common)
    assert found.code == 0, found.err
    assert_like(_below(memory, "/some/out"), here / "local")
    assert memory.find("/some") == memory.find("/some/out")
    assert_refused(cli("soup", *models, "-o", "memory://some/out", *common), 2, "the output exists", "--force")
    assert cli("verify", "memory://some/out").code == 0


def test_a_replaced_folder_loses_what_the_new_one_lacks(memory: Any, models: Models, here: Path, cli: Cli) -> None:
    assert cli("soup", *models, "-o", "memory://out", "--max-shard-size", "150KB", "--quiet").code == 0
    assert cli("soup", *models, "-o", "local", "--quiet").code == 0
    assert cli("soup", *models, "-o", "memory://out", "--quiet", "--force").code == 0
    assert_like(_below(memory, "/out"), here / "local")


def test_a_file_of_the_users_is_not_replaced(memory: Any, models: Models, here: Path, cli: Cli) -> None:
    memory.pipe_file("/out/thesis.txt", b"mine")
    found = cli("soup", *models, "-o", "memory://out", "--force")
    assert_refused(found, 2, "holds 'thesis.txt', which no merge wrote")


def test_a_single_file_and_its_card(memory: Any, models: Models, here: Path, cli: Cli) -> None:
    assert cli("soup", *models, "-o", "local.st", "--quiet").code == 0
    assert cli("soup", *models, "-o", "memory://out.st", "--quiet").code == 0
    assert memory.cat_file("/out.st") == Path("local.st").read_bytes()
    assert memory.find("/") == ["/out.st", "/out.st.md"]
    assert cli("verify", "memory://out.st").code == 0


def test_a_lock_that_another_run_holds(memory: Any, models: Models, here: Path, cli: Cli) -> None:
    memory.pipe_file("/.out.merging", b'{"host": "far", "pid": 7}')
    found = cli("soup", *models, "-o", "memory://out")
    assert_refused(found, 1, "another run is building this output", "process 7 on far", "/.out.merging")
    assert memory.find("/") == ["/.out.merging"]


def test_a_file_url_is_a_path(models: Models, here: Path, cli: Cli) -> None:
    assert cli("soup", *models, "-o", "local", "--quiet").code == 0
    assert cli("soup", *models, "-o", f"file://{here}/out", "--quiet").code == 0
    assert (here / "out/model.safetensors").read_bytes() == (here / "local/model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("hf://me/out", ["merge push OUT me/out"]),
        ("hf:me/out", ["merge push OUT me/out"]),
        ("https://host/out", ["a web server takes no files"]),
        ("simplecache::s3://place/out", ["a chain of file systems"]),
        ("nonsense://place/out", ["there is nothing that"]),
    ],
)
def test_places_that_take_no_output(models: Models, here: Path, cli: Cli, out: str, words: list[str]) -> None:
    assert_refused(cli("soup", *models, "-o", out), 2, out, *words)


def test_what_is_written_on_this_machine_only(models: Models, here: Path, cli: Cli) -> None:
    found = cli("moe", *models, "-o", "s3://place/out")
    assert_refused(found, 2, "a bundle can be written on this machine only")
    found = cli("rebasin", *models, "-o", "memory://order", "--emit", "permutations")
    assert_refused(found, 2, "permutations can be written on this machine only")


def test_a_recipe_names_a_place_elsewhere(memory: Any, models: Models, here: Path, cli: Cli) -> None:
    Path("recipe.yaml").write_text("merge: soup\nmodels: [a, b]\noutput: {path: 'memory://first'}\n")
    assert cli("run", "recipe.yaml", "--quiet").code == 0
    assert cli("run", "recipe.yaml", "--quiet", "--set", "output.path=memory://second").code == 0
    assert cli("run", "recipe.yaml", "--quiet", "-o", "memory://third").code == 0
    contents = [memory.cat_file(f"/{name}/model.safetensors") for name in ("first", "second", "third")]
    assert contents[0] == contents[1] == contents[2]


def test_a_sweep_names_its_outputs(memory: Any, models: Models, here: Path, cli: Cli) -> None:
    found = cli("slerp", *models, "-o", "memory://some/out", "--sweep", "t=0.2,0.5", "--quiet")
    assert found.code == 0, found.err
    assert [entry["name"] for entry in memory.ls("/some")] == ["/some/out-t-0.2", "/some/out-t-0.5"]
