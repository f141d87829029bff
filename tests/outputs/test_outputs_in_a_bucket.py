"""Merges into a bucket of an S3 server on this machine: the same bytes as on the disk."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from checkpoint_files import save
from command_line import Result, assert_refused, environment
from output_models import assert_like, random_matrix, stored, uploads

Cli = Callable[..., Result]
Models = tuple[Path, Path]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shards", ["1GB", "150KB"])
def test_a_folder_is_the_same_as_on_the_disk(
    bucket: Any, models: Models, here: Path, cli: Cli, threads: int, shards: str
) -> None:
    common = ("--max-shard-size", shards, "--threads", threads, "--quiet")
    assert cli("soup", *models, "-o", "local", *common).code == 0
    found = cli("soup", *models, "-o", "s3://place/some/out", *common)
    assert found.code == 0, found.err
    assert_like(stored(bucket, "some/out"), here / "local")
    assert set(stored(bucket, "some")) == {f"out/{name}" for name in stored(bucket, "some/out")}
    assert uploads(bucket) == []


def _sources(*names: str) -> list[str]:
    return [f"s3://place/{name}" for name in names]


@pytest.fixture
def there(bucket: Any, models: Models) -> Any:
    """The bucket with both models in it."""
    for folder in models:
        bucket.put(str(folder), f"place/{folder.name}", recursive=True)
    return bucket


@pytest.mark.usefixtures("small_parts")
def test_from_a_bucket_into_a_bucket(there: Any, models: Models, here: Path, cli: Cli) -> None:
    assert cli("slerp", *models, "-o", "local", "--t", "0.3", "--quiet").code == 0
    found = cli("slerp", *_sources("a", "b"), "-o", "s3://place/out", "--t", "0.3", "--quiet")
    assert found.code == 0, found.err
    assert_like(stored(there, "out"), here / "local")
    card = stored(there, "out")["README.md"].decode()
    assert "`s3://place/b`" in card
    assert "merge verify s3://place/out" in card
    assert str(here) not in card


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("threads", [1, 2])
def test_a_single_file(bucket: Any, models: Models, here: Path, cli: Cli, threads: int) -> None:
    assert cli("soup", *models, "-o", "local.safetensors", "--quiet").code == 0
    found = cli("soup", *models, "-o", "s3://place/deep/out.safetensors", "--quiet", "--threads", threads)
    assert found.code == 0, found.err
    objects = stored(bucket, "deep")
    assert objects.keys() == {"out.safetensors", "out.safetensors.md"}
    assert objects["out.safetensors"] == Path("local.safetensors").read_bytes()


def test_parts_of_the_usual_size(bucket: Any, here: Path, cli: Cli) -> None:
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", {"w": random_matrix(seed), "x": random_matrix(seed + 9)[:1234, :7]})
    assert cli("soup", "a.st", "b.st", "-o", "local.st", "--quiet").code == 0
    assert cli("soup", "a.st", "b.st", "-o", "s3://place/out.st", "--quiet").code == 0
    assert bucket.cat_file("place/out.st") == Path("local.st").read_bytes()
    assert bucket.info("place/out.st")["ETag"].endswith('-3"')


@pytest.mark.usefixtures("small_parts")
def test_an_output_is_verified_and_looked_at_where_it_lies(bucket: Any, models: Models, here: Path, cli: Cli) -> None:
    assert cli("soup", *models, "-o", "s3://place/out", "--quiet").code == 0
    assert cli("soup", *models, "-o", "s3://place/one.st", "--quiet").code == 0
    for out in ("s3://place/out", "s3://place/one.st"):
        found = cli("verify", out)
        assert found.code == 0, found.err
        assert "repeats" in found.out
    assert "merge.output" in cli("inspect", "s3://place/out").out
    (here / "b").rename(here / "c")
    found = cli("verify", "s3://place/out")
    assert_refused(found, 1, "./b", "as seen from the folder that merge ran in")


@pytest.mark.usefixtures("small_parts")
def test_a_replaced_output(bucket: Any, models: Models, here: Path, cli: Cli) -> None:
    assert cli("soup", *models, "-o", "s3://place/out", "--max-shard-size", "150KB", "--quiet").code == 0
    before = stored(bucket, "out")
    found = cli("soup", *models, "-o", "s3://place/out", "--quiet")
    assert_refused(found, 2, "s3://place/out", "the output exists", "--force replaces it")
    assert stored(bucket, "out") == before
    assert cli("soup", *models, "-o", "local", "--weights", "0.2,0.8", "--quiet").code == 0
    assert cli("soup", *models, "-o", "s3://place/out", "--weights", "0.2,0.8", "--quiet", "--force").code == 0
    assert_like(stored(bucket, "out"), here / "local")


def test_what_is_not_replaced(there: Any, models: Models, here: Path, cli: Cli) -> None:
    found = cli("soup", *models, "-o", "s3://place/a", "--force")
    assert_refused(found, 2, "holds 'model.safetensors', which is no output of a merge")
    there.pipe_file("place/out/thesis.txt", b"mine")
    assert_refused(cli("soup", *models, "-o", "s3://place/out", "--force"), 2, "'thesis.txt', which no merge wrote")
    there.pipe_file("place/out.st.md", b"mine")
    assert_refused(cli("soup", *models, "-o", "s3://place/out.st"), 2, "in the way of the model card")
    assert_refused(cli("soup", *models, "-o", "s3://place"), 2, "this is a whole bucket")
    there.pipe_file("place/file", b"mine")
    assert_refused(cli("soup", *models, "-o", "s3://place/file", "--force"), 2, "a file stands there")


@pytest.mark.parametrize(
    "out", ["s3://place/a", "s3a://place/a/", "s3://place/a/model.safetensors", "s3://place/a/out"]
)
def test_an_output_that_is_an_input(there: Any, models: Models, here: Path, cli: Cli, out: str) -> None:
    before = stored(there, "a")
    found = cli("soup", "s3://place/a/model.safetensors", "s3://place/b", "-o", out, "--force")
    if out.endswith("/out"):
        assert found.code == 0, found.err  # a folder of its own
        return
    assert_refused(found, 2, "the output is one of the inputs")
    assert stored(there, "a") == before


def test_a_file_beside_the_weights_of_an_input(there: Any, models: Models, here: Path, cli: Cli) -> None:
    found = cli("soup", *_sources("a", "b"), "-o", "s3://place/a/new.safetensors")
    assert_refused(found, 2, "would lie in the folder of an input")


def test_a_dry_run_writes_nothing(s3_server: Any, bucket: Any, models: Models, here: Path, cli: Cli) -> None:
    found = cli("soup", *models, "-o", "s3://place/out", "--dry-run")
    assert found.code == 0, found.err
    assert "s3://place/out" in found.out
    assert not [one for one in s3_server.seen if one.startswith(("PUT /place/", "POST /place/"))]


def test_flags_that_mean_nothing_there(bucket: Any, models: Models, here: Path, cli: Cli) -> None:
    assert_refused(cli("soup", *models, "-o", "s3://place/out", "--resume"), 2, "--resume")
    assert_refused(cli("soup", *models, "-o", "s3://place/out", "--sha256"), 2, "--sha256")
    assert_refused(cli("soup", *models, "-o", "s3://nobody/out"), 2, "there is no such bucket")


@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("s3://", "names no place"),
        ("s3://place//out", "an empty part"),
        ("s3://place/other/../out", "a part '..'"),
        ("memory://x/./out", "a part '.'"),
        ("s3:/place/out", "did you mean 's3://place/out'?"),
    ],
)
def test_odd_addresses(models: Models, here: Path, cli: Cli, out: str, words: str) -> None:
    assert_refused(cli("soup", *models, "-o", out), 2, words)


def test_an_address_in_capitals(bucket: Any, models: Models, here: Path, cli: Cli) -> None:
    assert cli("soup", *models, "-o", "S3://place/out", "--quiet").code == 0
    assert "config.json" in stored(bucket, "out")


def test_a_report_lies_on_this_machine(models: Models, here: Path, cli: Cli) -> None:
    found = cli("soup", *models, "-o", "out", "--report", "s3://place/report")
    assert_refused(found, 2, "s3://place/report: a report is written on this machine")
    assert not (here / "out").exists()
    assert not (here / "s3:").exists()


def test_a_lone_shard_is_not_taken_for_a_model(there: Any, here: Path, cli: Cli) -> None:
    there.cp("place/a/model.safetensors", "place/half/model-00001-of-00003.safetensors")
    assert_refused(cli("inspect", "s3://place/half"), 1, "one of several shards", "its upload may not be finished")


def test_a_merge_on_this_machine_imports_no_client_of_a_store(models: Models, here: Path) -> None:
    code = """
import sys
from merge.cli import main
assert main(["soup", "a", "b", "-o", "out", "--quiet"]) == 0
print(sorted({"fsspec", "s3fs", "aiobotocore", "huggingface_hub"} & sys.modules.keys()))
"""
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=here, env=environment(), capture_output=True, text=True, check=True
    )
    assert found.stdout == "[]\n"
