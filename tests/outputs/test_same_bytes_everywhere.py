"""One recipe, one result: by threads or processes, from and to a bucket, by a cluster that loses a node."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from checkpoint_files import load, save
from fake_hub import files_in
from output_models import model_folder, random_matrix, stored
from ray_nodes import ray_nodes

from merge.checkpoints.address import Address
from merge.engine import RunSettings
from merge.execute import WriteSettings, write
from merge.plan import make_plan
from merge.recipe import Merge, Model, Output, Recipe

NAMES = ("base", "a", "b")


def _recipe(places: dict[str, str], out: Path | Address) -> Recipe:
    """TIES, which looks at every tensor three times, with a merge inside."""
    inner = Merge("slerp", (Model(places["a"]), Model(places["b"])), options={"t": 0.3})
    merge = Merge("ties", (Model(places["a"]), Model(inner)), Model(places["base"]), options={"density": 0.4})
    return Recipe(merge, output=Output(out, max_shard_size=150_000))


def _written(places: dict[str, str], out: Path | Address, **settings: Any) -> None:
    plan = make_plan(_recipe(places, out))
    try:
        write(plan, WriteSettings(run=RunSettings(**settings)))
    finally:
        plan.close()


@pytest.fixture
def here_and_there(tmp_path: Path, bucket: Any) -> tuple[dict[str, str], dict[str, str]]:
    """The models on this machine, and the same in a bucket."""
    local = {name: str(model_folder(tmp_path / name, seed)) for seed, name in enumerate(NAMES)}
    for seed, folder in enumerate(local.values()):  # one file is uploaded in three parts
        weights = Path(folder, "model.safetensors")
        save(weights, load(weights) | {"head.weight": random_matrix(seed)}, {"format": "pt"})
    for name, folder in local.items():
        bucket.put(folder, f"place/{name}", recursive=True)
    return local, {name: f"s3://place/{name}" for name in NAMES}


def _files(found: dict[str, bytes]) -> dict[str, bytes]:
    return {name: content for name, content in found.items() if name != "README.md"}


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="Ray's test cluster needs Linux")
def test_the_same_bytes_everywhere(here_and_there, bucket, tmp_path, tmp_path_factory):
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    local, elsewhere = here_and_there
    outputs = {}
    for name, settings in {"one": {"threads": 1}, "two": {"threads": 2}, "processes": {"workers": 2}}.items():
        _written(local, tmp_path / name, **settings)
        outputs[name] = _files(files_in(tmp_path / name))
        _written(elsewhere, Address(f"s3://place/{name}"), **settings)
        outputs[f"{name}, bucket"] = _files(stored(bucket, name))
    with ray_nodes(tmp_path_factory.mktemp("home")) as cluster:

        def lose(nbytes: int, tensors: int) -> None:
            if len(cluster.workers) == 2:
                cluster.remove_node(cluster.workers.pop(), allow_graceful=False)

        _written(local, tmp_path / "ray", engine="ray", address=cluster.address, advance=lose)
        outputs["ray"] = _files(files_in(tmp_path / "ray"))
        assert len(cluster.workers) == 1
    assert len(outputs["one"]) > 6
    assert [name for name, found in outputs.items() if found != outputs["one"]] == []
