"""Folders of other tools' files beside a report: put in place whole, and nobody else's files touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from merge.errors import MergeError
from merge.reports import check_directory, write_report
from merge.reports.folders import gathering
from merge.reports.write import write_folder

REPORT = ["report.html", "report.md", "results.json"]
HARNESS = "lm-eval/model/results_1.json"
CLIP = "clip_benchmark/a_en_zeroshot_classification.json"


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


def put(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")


def test_folders_of_a_former_report_are_replaced_as_a_whole(tmp_path):
    report, first, second = (tmp_path / name for name in ("report", "first", "second"))
    put(first, HARNESS, "lm-eval/other/samples_a_1.jsonl", CLIP)
    write_report(report, {}, first)
    assert files(report) == sorted([*REPORT, HARNESS, "lm-eval/other/samples_a_1.jsonl", CLIP])
    put(second, "lm-eval/model/results_2.json")
    write_report(report, {}, second)
    assert files(report) == sorted([*REPORT, "lm-eval/model/results_2.json"])
    write_report(report, {})
    assert sorted(path.name for path in report.iterdir()) == REPORT


def test_a_run_that_was_killed_while_writing_can_be_done_again(tmp_path):
    put(tmp_path, "lm-eval.partial/model/results_1.json", "clip_benchmark.partial/a_en_zeroshot_classification.json")
    put(tmp_path, f"{CLIP}.partial")
    write_report(tmp_path, {})
    assert files(tmp_path) == REPORT


@pytest.mark.parametrize(
    "name",
    ["lm-eval/thesis.tex", "lm-eval/model/notes.md", "lm-eval/a/b/results_1.json", "clip_benchmark/benchmark.csv"],
)
def test_foreign_files_in_the_folders_are_refused(tmp_path, name):
    put(tmp_path, HARNESS, CLIP, name)
    with pytest.raises(MergeError) as refusal:
        write_report(tmp_path, {})
    assert f"the folder holds other files, such as {name}" in str(refusal.value)
    assert files(tmp_path) == sorted([HARNESS, CLIP, name])


def test_links_and_files_in_place_of_the_folders_are_refused(tmp_path):
    put(tmp_path / "elsewhere", "model/results_1.json")
    (tmp_path / "report").mkdir()
    (tmp_path / "report" / "lm-eval").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(MergeError, match="such as lm-eval "):
        check_directory(tmp_path / "report")
    put(tmp_path / "other", "clip_benchmark")
    with pytest.raises(MergeError, match="such as clip_benchmark "):
        check_directory(tmp_path / "other")


def test_a_folder_that_cannot_be_copied_leaves_the_former_report(tmp_path, monkeypatch):
    import shutil

    put(tmp_path / "made", HARNESS)
    write_report(tmp_path / "report", {}, tmp_path / "made")
    before = {name: (tmp_path / "report" / name).read_bytes() for name in files(tmp_path / "report")}

    def full(*arguments, **options):
        raise shutil.Error([("a", "b", "No space left on device")])

    monkeypatch.setattr(shutil, "copytree", full)
    with pytest.raises(MergeError, match="cannot be written: No space left on device"):
        write_report(tmp_path / "report", {"title": "New"}, tmp_path / "made")
    assert before == {name: (tmp_path / "report" / name).read_bytes() for name in files(tmp_path / "report")}


def test_gathered_files_are_gone_in_the_end(tmp_path):
    with gathering(tmp_path / "report") as made:
        write_folder(made / "clip_benchmark", {"a.json": {}})
    assert not made.exists()
    assert not (tmp_path / "report").exists()
    with gathering(None) as made:
        assert made is None


def test_an_interrupt_as_soon_as_the_folder_is_there(tmp_path, monkeypatch):
    make = Path.mkdir

    def interrupted(path, *arguments, **named):
        make(path, *arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "mkdir", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_folder(tmp_path / "report", {"a.json": {}})
    assert not list(tmp_path.iterdir())
