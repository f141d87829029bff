"""What a dry run says of time, disk, memory and threads, and how merges measure it."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import torch
from checkpoint_files import save
from in_memory import recipe_of

from merge.checkpoints.space import human
from merge.engine import RunSettings
from merge.estimate import estimate as estimating
from merge.estimate import recording
from merge.estimate.estimate import estimate
from merge.estimate.rates import Rates, Sample, read_rates
from merge.estimate.recording import record
from merge.estimate.view import duration, render
from merge.plan import make_plan
from merge.recipe import Output
from merge.schema import SCHEMAS
from merge.streaming.stopwatch import Spent, Totals

SOUP = "computing soup on cpu in F32"
NOTHING = Rates({})


@pytest.fixture
def models(tmp_path):
    """Two models of 4 MB."""
    for seed, name in enumerate("ab"):
        generator = torch.Generator().manual_seed(seed)
        save(tmp_path / f"{name}.st", {"w": torch.randn(1000, 1000, generator=generator)})
    return [str(tmp_path / f"{name}.st") for name in "ab"]


@pytest.fixture
def disk(tmp_path):
    from merge.checkpoints.links import link_of_file

    return link_of_file(tmp_path)


@pytest.fixture
def file(tmp_path, monkeypatch):
    """A file of rates for this process, and merges of any size measured."""
    path = tmp_path / "cache" / "rates.json"
    monkeypatch.setenv("MERGE_RATES", str(path))
    monkeypatch.setattr(recording, "LEAST_BYTES", 0)
    return path


@pytest.fixture
def planned(models, tmp_path):
    plan = make_plan(replace(recipe_of("soup", models), output=Output(path=tmp_path / "out.st")))
    yield plan
    plan.close()


def rates_of(**seconds: float) -> Rates:
    """Return rates by seconds for a megabyte."""
    return Rates({}) | [Sample(kind, 10**6, value) for kind, value in seconds.items()]


def test_where_nothing_was_measured_nothing_is_guessed(planned):
    found = estimate(planned, RunSettings(threads=1), Rates({}))
    assert found.placement is None
    assert found.in_memory is None
    text = "\n".join(render(found))
    assert "never measured here" in text
    assert "a merge of this kind, of 134 MB or more" in text
    assert "about" not in text.replace("memory   about", "")


def test_time_follows_from_measured_rates(planned, disk, monkeypatch):
    monkeypatch.setattr(estimating, "cores", lambda: 4)
    rates = rates_of(**{f"reading from {disk}": 1, SOUP: 0.25, f"writing to {disk}": 0.5})
    found = estimate(planned, RunSettings(threads=1), rates)
    assert found.placement is not None
    assert found.placement.seconds == pytest.approx(
        8 * 1 + 8 * 0.25 + 4 * 0.5
    )  # read, compute, write: one after another
    many = estimate(planned, RunSettings(threads=4), rates).placement
    assert many is not None
    assert many.seconds == pytest.approx(8 * 1 + 4 * 0.5)  # the disk gives no more
    assert (many.bound_by, many.useful) == (disk, 2)
    assert many.anywhere == 2


def test_threads_of_all_processes_count(planned, disk, monkeypatch):
    monkeypatch.setattr(estimating, "cores", lambda: 4)
    rates = rates_of(**{f"reading from {disk}": 0.01, SOUP: 1, f"writing to {disk}": 0.01})
    one = estimate(planned, RunSettings(threads=1), rates).placement
    two = estimate(planned, RunSettings(threads=1, workers=2), rates).placement
    assert one is not None
    assert two is not None
    assert two.seconds == pytest.approx(one.seconds / 2)
    assert two.bound_by == "processor"


def test_the_page_cache_is_told_from_the_disk(planned, disk):
    rates = rates_of(**{f"reading from {disk} (in memory)": 0.1, SOUP: 0.25, f"writing to {disk}": 0.5})
    found = estimate(planned, RunSettings(threads=1), rates)
    assert found.placement is None
    assert found.in_memory is not None
    assert found.in_memory.seconds == pytest.approx(8 * 0.1 + 8 * 0.25 + 4 * 0.5)
    assert found.works.unmeasured == [f"reading from {disk}"]
    assert "where the inputs are in memory" in "\n".join(render(found))


def test_matrices_that_are_needed_whole_count_several_times(tmp_path, models):
    flat = make_plan(recipe_of("task-arithmetic", models[1:], models[0]))
    whole = make_plan(recipe_of("iso-c", models[1:], models[0]))
    try:
        one = estimate(flat, RunSettings(threads=2, device="cpu"), Rates({})).memory
        other = estimate(whole, RunSettings(threads=2, device="cpu"), Rates({})).memory
        assert one.whole == 0
        assert other.whole == 2 * 4_000_000
        assert other.per_thread > 4 * 4_000_000
        assert other.per_thread > one.per_thread
        assert other.total == other.program + 2 * other.per_thread
    finally:
        flat.close()
        whole.close()


def test_buffers_follow_inputs_and_chunks(models):
    def per_thread(count: int, chunk: int) -> int:
        plan = make_plan(recipe_of("soup", [*models, *models][:count]))
        try:
            return estimate(plan, RunSettings(threads=1, chunk_elements=chunk), Rates({})).memory.per_thread
        finally:
            plan.close()

    assert per_thread(2, 2**18) - per_thread(2, 2**17) == 3 * 2**17 * 2
    assert per_thread(2, 2**18) >= 3 * 2**18 * 2  # two inputs and the output, in bytes of 16-bit elements


def test_the_json_has_the_published_shape(cli, models, tmp_path, file, disk):
    file.parent.mkdir()
    kinds = {f"reading from {disk}": 1, SOUP: 0.25, f"writing to {disk}": 0.5}
    file.write_text(json.dumps(rates_of(**kinds).as_json()))
    result = cli("soup", *models, "-o", tmp_path / "out.st", "--dry-run", "--json", "--threads", "1")
    plan = json.loads(result.out)
    jsonschema.validate(plan, SCHEMAS["plan"]())
    found = plan["estimate"]
    assert found["placement"]["seconds"] == pytest.approx(12)
    assert found["unmeasured"] == []
    assert found["disk"]["needed"] == plan["bytes_written"] == 4_000_000
    assert found["disk"]["free"] == pytest.approx(shutil.disk_usage(tmp_path).free, rel=0.2)
    assert [work["bytes"] for work in found["reading"]] == [8_000_000]


def test_the_text_says_what_bounds_the_job(cli, models, tmp_path, file, disk):
    file.parent.mkdir()
    kinds = {f"reading from {disk}": 1, SOUP: 0.001, f"writing to {disk}": 0.5}
    file.write_text(json.dumps(rates_of(**kinds).as_json()))
    out = cli("soup", *models, "-o", tmp_path / "out.st", "--dry-run", "--threads", "2").out
    assert f"bound    by the {disk}; 2 threads are useful here" in out or "1 thread is useful here" in out
    assert "time     about 10 s on 2 threads, by measured rates" in out
    assert "disk     4 MB needed" in out


def test_a_merge_measures_and_the_next_plan_knows(cli, models, tmp_path, file, disk):
    assert cli("soup", *models, "-o", tmp_path / "one.st").code == 0
    rates = read_rates()
    assert rates.of(SOUP)
    assert rates.of(f"writing to {disk}")
    if sys.platform == "linux":
        cold, warm = rates.of(f"reading from {disk}"), rates.of(f"reading from {disk} (in memory)")
        assert (cold is None) != (warm is None)  # files just written are mostly in memory, but nobody promises it
    plan = json.loads(cli("soup", *models, "-o", tmp_path / "two.st", "--dry-run", "--json").out)
    assert plan["estimate"]["computing"]["rate"] == rates.of(SOUP)
    assert plan["estimate"]["computing"]["merges"] == 1


def test_without_waiting_for_the_disk_nothing_is_known_of_writing(cli, models, tmp_path, file, disk):
    assert cli("soup", *models, "-o", tmp_path / "one.st", "--no-fsync").code == 0
    assert read_rates().of(f"writing to {disk}") is None
    assert read_rates().of(SOUP)


def test_processes_share_the_cores_as_they_will(planned, monkeypatch):
    from merge import engine

    monkeypatch.setattr(engine, "cores", lambda: 8)
    assert estimate(planned, RunSettings(workers=4), Rates({})).threads == 2
    assert estimate(planned, RunSettings(workers=16), Rates({})).threads == 1
    assert estimate(planned, RunSettings(workers=4, threads=3), Rates({})).threads == 3


def test_a_gpu_has_the_threads_that_keep_it_busy(planned):
    assert estimate(planned, RunSettings(device="cuda"), Rates({})).threads >= 3
    assert estimate(planned, RunSettings(device="cuda", threads=1), Rates({})).threads == 1
    assert estimate(planned, RunSettings(device="cuda", workers=64), Rates({})).threads == 1


def test_nothing_is_said_of_the_time_on_a_cluster(planned, disk):
    """Whose machines were not measured, however well this one is known."""
    rates = rates_of(**{f"reading from {disk}": 1, SOUP: 0.25, f"writing to {disk}": 0.5})
    found = estimate(planned, RunSettings(engine="ray", threads=1), rates)
    assert (found.placement, found.in_memory) == (None, None)
    assert "time     unknown: rates are those of this machine, not of a cluster" in render(found)
    assert not [line for line in render(found) if line.startswith("bound")]


@pytest.mark.parametrize(("least", "shown"), [(0.0, True), (1e9, False)])
def test_a_long_merge_says_what_its_threads_did(cli, models, tmp_path, monkeypatch, least, shown):
    from merge.commands import merging

    monkeypatch.setattr(merging, "LONG_SECONDS", least)
    found = cli("soup", *models, "-o", tmp_path / "out.st", "--threads", "2")
    assert ("time of 2 threads: " in found.out) is shown
    assert cli("soup", *models, "-o", tmp_path / "more.st", "--quiet").out == ""


def test_sizes_have_three_digits_at_most():
    assert [human(size) for size in (999, 999_700, 999_499, 1_000_000)] == ["999 bytes", "1 MB", "999 KB", "1 MB"]


def test_small_merges_measure_nothing(cli, models, tmp_path, file, monkeypatch):
    monkeypatch.setattr(recording, "LEAST_BYTES", 128 * 2**20)
    assert cli("soup", *models, "-o", tmp_path / "one.st").code == 0
    assert not file.exists()


def test_a_file_that_cannot_be_written_is_no_error(cli, models, tmp_path, file, monkeypatch):
    (tmp_path / "blocked").write_text("")
    monkeypatch.setenv("MERGE_RATES", str(tmp_path / "blocked" / "rates.json"))
    result = cli("soup", *models, "-o", tmp_path / "out.st")
    assert (result.code, result.err) == (0, "")


def totals(**changed) -> Totals:
    found = Totals({"disk /": Spent(1000, 4, 2)}, {}, 5, Spent(500, 1, 1), 1000, 10)
    return found._replace(**changed)


def recorded(monkeypatch, plan, totals_: Totals, known: Rates = NOTHING, finished: float = 1.0) -> Rates:
    """Return what is kept of a run."""
    kept: list[Sample] = []
    monkeypatch.setattr(recording, "add_samples", kept.extend)
    monkeypatch.setattr(recording, "read_rates", lambda: known)
    outcome = type("Outcome", (), {"totals": totals_, "pieces_reused": 0})()
    record(plan, outcome, RunSettings(), finished, synced=True)
    return Rates({}) | kept


def test_bytes_of_the_disk_make_its_rate(monkeypatch, planned, file):
    found = recorded(monkeypatch, planned, totals())
    assert found.of("reading from disk /") == 1000 / 2
    assert found.of("reading from disk / (in memory)") is None
    assert found.of(SOUP) == 8_000_000 / 5


def test_writing_counts_until_it_is_safe(monkeypatch, planned, file, disk):
    assert recorded(monkeypatch, planned, totals(), finished=3).of(f"writing to {disk}") == 500 / (1 + 3)


def test_bytes_of_the_page_cache_say_nothing_of_the_disk(monkeypatch, planned, file):
    found = recorded(monkeypatch, planned, totals(from_disk=0))
    assert found.of("reading from disk /") is None
    assert found.of("reading from disk / (in memory)") == 1000 / 4  # of each of those that read at once


def test_a_mixture_counts_only_where_the_cache_is_known(monkeypatch, planned, file):
    mixed = totals(from_disk=300)
    assert recorded(monkeypatch, planned, mixed).of("reading from disk /") is None
    known = Rates({}) | [Sample("reading from disk / (in memory)", 700, 0.5)]
    assert recorded(monkeypatch, planned, mixed, known).of("reading from disk /") == pytest.approx(300 / (2 - 0.5 / 2))


def test_a_system_that_tells_nothing_gives_no_rate_of_disks(monkeypatch, planned, file):
    found = recorded(monkeypatch, planned, totals(from_disk=None))
    assert found.of("reading from disk /") is None
    assert found.of("reading from disk / (in memory)") is None


def test_transfers_count_by_themselves(monkeypatch, planned, file):
    elsewhere = totals(read={"hub": Spent(1000, 0.1, 0.1)}, fetched={"hub": Spent(1000, 8, 2)}, from_disk=0)
    assert recorded(monkeypatch, planned, elsewhere).of("reading from hub") == 500


def test_a_resumed_merge_measures_nothing(monkeypatch, planned, file):
    kept: list[Sample] = []
    monkeypatch.setattr(recording, "add_samples", kept.extend)
    record(planned, type("Outcome", (), {"totals": totals(), "pieces_reused": 3})(), RunSettings(), 1.0, synced=True)
    assert kept == []


def test_a_merge_on_a_cluster_measures_nothing(monkeypatch, planned, file):
    kept: list[Sample] = []
    monkeypatch.setattr(recording, "add_samples", kept.extend)
    outcome = type("Outcome", (), {"totals": totals(), "pieces_reused": 0})()
    record(planned, outcome, RunSettings(engine="ray"), 1.0, synced=True)
    assert kept == []


def test_times_of_processes_are_joined():
    one, other = totals(), totals(elapsed=12, from_disk=None, read={"hub": Spent(10, 1, 1)})
    joined = one.beside(other)
    assert joined.read == {"disk /": Spent(1000, 4, 2), "hub": Spent(10, 1, 1)}
    assert (joined.computed, joined.elapsed, joined.from_disk, joined.threads) == (10, 12, None, 2)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "a second or less"), (5.04, "5 s"), (59, "59 s"), (95, "1.58 min"), (7200, "2 h"), (200_000, "2.31 days")],
)
def test_times_in_words(seconds, words):
    assert duration(seconds) == words


@pytest.mark.skipif(not Path("/proc/self/io").exists(), reason="the system does not tell")
def test_what_came_from_disks_is_asked_of_the_system():
    from merge.streaming.stopwatch import Stopwatch

    found = Stopwatch([]).totals()
    assert found.from_disk is not None
    assert found.from_disk >= 0


def test_applying_scales_is_work_of_its_own(tmp_path):
    from scaled_models import random_scaled, save_model

    one = [str(save_model(tmp_path / name, random_scaled(seed))) for seed, name in enumerate("ab")]
    plan = make_plan(recipe_of("soup", one))
    try:
        assert estimate(plan, RunSettings(), Rates({})).works.computing.kind == (
            "computing soup on cpu in BF16 (from 8 bits), to 8 bits"
        )
    finally:
        plan.close()
