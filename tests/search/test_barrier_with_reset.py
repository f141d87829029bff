"""The line between two models whose BatchNorm statistics are measured anew at every point."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from command_line import assert_refused

from merge.schema import SCHEMAS

sys.path.append(str(Path(__file__).parents[1] / "after"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    from small_networks import MODEL_FILE, Normed, Plain, made, pixels, write

    monkeypatch.chdir(tmp_path)
    (tmp_path / "networks.py").write_text(MODEL_FILE)
    for seed in (1, 2, 3):
        write(made(Normed, seed), tmp_path / f"n{seed}.st")
        write(made(Plain, seed), tmp_path / f"p{seed}.st")
    for name, seed in (("calibration", 0), ("test", 1)):
        images = (pixels(60, seed)[:, 0] * 255).byte().numpy()
        np.savez(tmp_path / f"{name}.npz", images=images, labels=np.arange(60) % 10)
    (tmp_path / "test.yaml").write_text("name: test\nkind: classification\ndata: {path: test.npz}\n")
    return tmp_path


def barrier(cli: Any, *more: object, a: str = "n1.st", b: str = "n2.st", kind: str = "Normed") -> Any:
    given = ("--benchmark", "test.yaml", "--model", f"networks.py:{kind}", "--points", 3, "--batch-size", 60)
    return cli("barrier", a, b, *given, *more)


def test_a_point_is_what_merge_and_bn_reset_give(cli, here):
    result = barrier(cli, "--reset-data", "calibration.npz", "--json")
    document = json.loads(result.out)
    jsonschema.validate(document, SCHEMAS["barrier"]())
    assert document["reset"] == {"data": "calibration", "samples": 4096, "seed": 0}
    assert [curve["name"] for curve in document["curves"]] == ["naive", "naive with reset"]
    naive, reset = (curve["points"] for curve in document["curves"])
    model = ("--model", "networks.py:Normed")
    assert cli("soup", "n1.st", "n2.st", "-o", "soup.st").code == 0
    given = ("--data", "calibration.npz", "--batch-size", 60, *model)
    for merged, point in (("soup.st", 1), ("n1.st", 0), ("n2.st", 2)):
        assert cli("bn-reset", merged, *given, "-o", f"reset-{merged}").code == 0
        found = json.loads(cli("eval", f"reset-{merged}", "--benchmark", "test.yaml", *model, "--json").out)
        loss = next(row["value"] for row in found["results"] if row["metric"] == "loss")
        assert reset[point]["metrics"]["loss"]["value"] == pytest.approx(loss, rel=1e-6)
        assert naive[point]["metrics"]["loss"]["value"] != pytest.approx(loss, rel=1e-3)


def test_without_reset_the_averaged_statistics_are_warned_of_and_the_report_says_so(cli, here):
    result = barrier(cli, "--report", "report", "--json")
    assert "warning: 4 BatchNorm statistics are averaged on the line" in result.err
    assert "--reset-data" in result.err
    document = json.loads(result.out)
    jsonschema.validate(document, SCHEMAS["barrier"]())
    assert document["averaged"] == 4
    assert "On the line, 4 BatchNorm statistics are averaged" in (here / "report" / "report.md").read_text()
    reset = barrier(cli, "--reset-data", "calibration.npz", "--json")
    assert "averaged on the line" not in reset.err
    assert "averaged" not in json.loads(reset.out)
    assert "warning" not in barrier(cli, a="p1.st", b="p2.st", kind="Plain").err


def test_it_is_the_aligned_line_where_there_is_one(cli, here):
    given = ("--aligned", "n3.st", "--reset-data", "calibration.npz", "--reset-samples", 30)
    result = barrier(cli, *given, "--report", "report", "--json")
    document = json.loads(result.out)
    names = [(curve["name"], curve["b"]) for curve in document["curves"]]
    assert names == [("naive", "n2.st"), ("aligned", "n3.st"), ("aligned with reset", "n3.st")]
    assert document["reset"]["samples"] == 30
    page = (here / "report" / "report.html").read_text()
    for style in ("series-1", "series-2", "series-3"):
        assert f"line {style}" in page
    text = (here / "report" / "report.md").read_text()
    assert "aligned with reset, test" in text
    assert "measured anew, on 30 items of calibration" in text
    printed = barrier(cli, *given).out
    assert [line.split("  ")[0] for line in printed.splitlines()[2::2]] == ["naive", "aligned", "aligned with reset"]


def test_statistics_are_measured_once_for_all_benchmarks(cli, here, monkeypatch):
    from merge.after import batch_norm

    measure, calls = batch_norm.measure, []
    monkeypatch.setattr(batch_norm, "measure", lambda *given: calls.append(1) or measure(*given))
    (here / "again.yaml").write_text("name: again\nkind: classification\ndata: {path: calibration.npz}\n")
    assert barrier(cli, "--benchmark", "again.yaml", "--reset-data", "calibration.npz").code == 0
    assert len(calls) == 3


def test_refusals(cli, here):
    assert_refused(
        barrier(cli, "--reset-data", "calibration.npz", a="p1.st", b="p2.st", kind="Plain"),
        2,
        "p1.st",
        "no BatchNorm statistics",
    )
    assert_refused(barrier(cli, "--reset-data", "none.npz"), 2, "none.npz")
    assert_refused(barrier(cli, "--reset-samples", 5), 2, "--reset-samples", "--reset-data")
    assert_refused(barrier(cli, "--reset-data", "calibration.npz", "--reset-samples", 1), 2, "--reset-samples")
