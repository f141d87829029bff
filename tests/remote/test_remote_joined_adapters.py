"""Adapters of the hub become one adapter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_hub import commit_of, files_in
from remote_models import adapter_folder
from stand_in import StandIn, repository


@pytest.fixture
def adapter(hub: StandIn, tmp_path: Path) -> Path:
    folder = adapter_folder(tmp_path / "disk" / "lora")
    hub.models = {**hub.models, "me/lora": repository(folder)}
    return folder


def test_adapters_of_the_hub(hub: StandIn, adapter: Path, here: Path, cli: Any) -> None:
    given = ("--method", "task-arithmetic", "--quiet")
    assert cli("adapters", adapter, f"{adapter}=0.5", "-o", "local", *given).code == 0
    result = cli("adapters", "me/lora", "me/lora=0.5", "-o", "out", *given)
    assert result.code == 0, result.err
    one, other = (here / name / "adapter_model.safetensors" for name in ("local", "out"))
    assert one.read_bytes() == other.read_bytes()
    assert f"model: me/lora@{commit_of(files_in(adapter))}" in (here / "out" / "README.md").read_text()
    assert json.loads(cli("verify", "out", "--json").out)["repeats"]
