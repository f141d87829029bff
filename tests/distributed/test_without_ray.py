"""Ray is an extra: without it, ``--engine ray`` says how to get it."""

from __future__ import annotations

import sys

import pytest
from command_line import assert_refused, contents


def test_what_to_install(cli, pair, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    before = contents(here)
    result = cli("soup", *pair, "--engine", "ray", "-o", "out.st")
    assert_refused(result, 2, "--engine ray needs Ray, which is not installed", "pip install 'merge-checkpoints[ray]'")
    assert contents(here) == before


def test_a_cluster_deals_its_gpus(cli, pair, here):
    pytest.importorskip("ray", reason="the extra [ray] is not installed")
    result = cli("soup", *pair, "--engine", "ray", "--device", "cuda:1", "-o", "out.st")
    assert_refused(result, 2, "a cluster deals its GPUs itself, and --device is cuda:1", "--device cuda")
