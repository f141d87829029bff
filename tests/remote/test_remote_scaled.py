"""8-bit floats with scales, read from elsewhere: the same bytes as from the disk, and every byte sent once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from checkpoint_files import assert_same, load
from command_line import Result
from remote_models import weights
from scaled_models import plain, random_scaled, save_model
from stand_in import StandIn, repository

Cli = Callable[..., Result]


@pytest.fixture
def scaled(tmp_path: Path, hub: StandIn) -> tuple[Path, Path]:
    """Two models on the hub and here: one file; and two, of which one has the scales."""
    found = tuple(
        save_model(tmp_path / "scaled" / name, random_scaled(seed), apart=name == "d") for seed, name in enumerate("cd")
    )
    hub.models |= {f"me/{path.name}": repository(path) for path in found}
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("method", ["soup", "slerp"])
def test_as_from_the_disk_and_every_byte_once(
    hub: StandIn, scaled: tuple[Path, Path], here: Path, cli: Cli, method: str, threads: int
) -> None:
    assert cli(method, *scaled, "-o", "local", "--quiet").code == 0
    found = cli(method, "me/c", "me/d", "-o", "remote", "--quiet", "--threads", threads)
    assert found.code == 0, found.err
    assert_same(load(here / "remote"), load(here / "local"))
    assert (here / "remote" / "config.json").read_bytes() == (here / "local" / "config.json").read_bytes()
    assert hub.sent() == sum(map(weights, scaled))


def test_a_dry_run_reads_headers(hub: StandIn, scaled: tuple[Path, Path], here: Path, cli: Cli) -> None:
    plan = json.loads(cli("soup", "me/c", "me/d", "-o", "out", "--dry-run", "--json", "--dtype", "bfloat16").out)
    assert [work["kind"] for work in plan["estimate"]["reading"]] == ["reading from hub"]
    assert hub.sent() < sum(map(weights, scaled))
    assert plan["bytes_written"] == sum(tensor.nbytes for tensor in plain(random_scaled(0)).values())
