"""Reports from fabricated rows: complete, escaped, strict, the same bytes every time, polite to other files."""

from __future__ import annotations

import base64
import copy
import hashlib
import html
import json
import re
from importlib import metadata

import jsonschema
import pytest
from full_report import HOSTILE, MODELS, comparison, full_report, result
from page_tables import Page, markdown_tables

from merge.errors import MergeError
from merge.reports import check_directory, describe_environment, write_report
from merge.reports.document import document
from merge.reports.render import html as render_html
from merge.schema import SCHEMAS

PARTS = {
    "results": "All metrics on digits",
    "comparisons": "Comparisons",
    "averages": "Averages over benchmarks",
    "retention": "Retention",
    "corruption": "Corruptions",
    "greedy": "Greedy soup",
    "learned": "Learned soup",
    "weights": "Weights",
    "barrier": "Barrier",
    "barrier_matrix": "Barriers of every pair",
    "layers": "Layers",
    "search": "Search",
    "merge": "The recipe",
    "models": "Provenance",
    "timings": "Time by model and benchmark, with loading",
    "run": "The whole run",
    "environment": "Versions",
    "notes": "Notes",
}


def written(folder, report):
    write_report(folder, report)
    return read(folder)


def read(directory):
    return [(directory / name).read_text(encoding="utf-8") for name in ("results.json", "report.md", "report.html")]


def test_three_files_with_what_a_reader_needs(tmp_path):
    files = write_report(tmp_path / "a" / "report", full_report())
    assert [file.name for file in files] == ["results.json", "report.md", "report.html"]
    written_document, markdown, page = read(tmp_path / "a" / "report")
    assert json.loads(written_document) == full_report()
    for text in (markdown, html.unescape(page).replace("\N{NO-BREAK SPACE}", " ")):
        for needed in ("90.00 %", "85.00 to 94.00 %", "540", "+1.25 points", "0.0654", "0.131", "sha256:ab", "3 GB"):
            assert needed in text


@pytest.mark.parametrize("part", PARTS)
def test_every_part_is_shown_where_it_is_and_only_there(tmp_path, part):
    report = full_report()
    heading = re.compile(rf"(?:>|^(?:## )?){re.escape(PARTS[part])}(?:<|$)", flags=re.MULTILINE)
    for text in written(tmp_path / "with", report)[1:]:
        assert heading.search(text)
    del report[part]
    for text in written(tmp_path / "without", report)[1:]:
        assert not heading.search(text)


def test_an_empty_report_is_a_page(tmp_path):
    _, markdown, page = written(tmp_path, {"title": "Nothing"})
    assert markdown.strip() == "# Nothing"
    assert Page(page).tables == {}
    assert "<svg" not in page


def test_the_file_alone_gives_the_same_page(tmp_path):
    text, _, page = written(tmp_path, full_report())
    assert render_html(document(json.loads(text))) == page


def test_the_mapping_is_what_its_published_schema_says():
    schema = SCHEMAS["report"]()
    jsonschema.validate(full_report(), schema)
    broken = full_report()
    broken["greedy"]["steps"][0]["score"] = "high"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(broken, schema)


def test_the_report_of_an_evaluation_is_what_the_schema_says(evaluated):
    jsonschema.validate(evaluated.document, SCHEMAS["report"]())


def test_names_are_escaped_everywhere(tmp_path):
    _, markdown, page = written(tmp_path, full_report())
    seen = Page(page)
    assert seen.tags.count("script") == 1
    assert "img" not in seen.tags
    assert seen.open == []
    assert "alert(1)" not in re.search(r"<script>(.*?)</script>", page, flags=re.DOTALL)[1]
    fences = re.findall(r"^(`{3,})yaml\n(.*?)\n\1$", markdown, flags=re.DOTALL | re.MULTILINE)
    assert len(fences) == 1
    outside = re.sub(r"^(`{3,})yaml\n.*?\n\1$", "", markdown, flags=re.DOTALL | re.MULTILINE)
    assert not re.search(r"(?<!\\)<(?!/?details>|/?summary>)", outside)


def test_a_recipe_cannot_leave_its_fence(tmp_path):
    report = full_report()
    report["merge"]["recipe"]["models"][0]["model"] = "a\n````\n# heading\n```"
    _, markdown, _ = written(tmp_path, report)
    fence = re.search(r"^(`+)yaml$", markdown, flags=re.MULTILINE)[1]
    assert len(fence) == 5


def test_tables_of_markdown_keep_their_columns(tmp_path):
    _, markdown, page = written(tmp_path, full_report())
    tables = markdown_tables(markdown)
    assert len(tables) == len(Page(page).tables)
    assert all(len({len(row) for row in table}) == 1 for table in tables)


def test_page_loads_nothing_and_runs_its_own_script_alone(tmp_path):
    page = written(tmp_path, full_report())[2]
    seen = Page(page)
    assert all(reference.startswith("#section-") for reference in seen.references)
    assert not re.search(r"url\(|@import|https?:", page)
    script = re.search(r"<script>(.*?)</script>", page, flags=re.DOTALL)[1]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in html.unescape(page)


def test_plots_have_names_and_no_colours_of_their_own(tmp_path):
    page = written(tmp_path, full_report())[2]
    plots = re.findall(r'<svg role="img".*?</svg>\s*</div>', page, flags=re.DOTALL)
    assert len(plots) == 44
    for plot in plots:
        assert re.match(
            r'<svg role="img" aria-label="[^"]+" width="100%" height="[\d.]+"><title>[^<]+</title><desc>[^<]', plot
        )
        assert not re.search(r'(?:fill|stroke|color|style)="', plot)


def test_every_place_in_a_plot_is_a_number(tmp_path):
    page = written(tmp_path, full_report())[2]
    places = re.findall(r' (?:x|y|x1|x2|y1|y2|cx|cy|r|width|height)="([^"]*)"', page)
    assert len(places) > 500
    for place in places:
        assert re.fullmatch(r"-?\d+(?:\.\d+)?%?", place)
        assert not place.endswith("%") or 0 <= float(place[:-1]) <= 100


@pytest.mark.parametrize("part", ["greedy", "learned"])
def test_selection_on_the_reported_data_is_said_first_and_in_red(tmp_path, part):
    report = full_report()
    report[part]["same_data_as_report"] = True
    _, markdown, page = written(tmp_path, report)
    (alarm,) = Page(page).alarms
    assert alarm.startswith("Selection and report use the same data")
    assert "(digits, split select)" in alarm
    assert page.index('class="alarm"') < page.index('class="summary"')
    assert markdown.index("> **⚠ WARNING: Selection and report use the same data") < markdown.index("On average")
    assert ".alarm { color: var(--alarm)" in page


def test_selection_on_other_data_is_no_warning(tmp_path):
    _, markdown, page = written(tmp_path, full_report())
    assert Page(page).alarms == []
    assert "WARNING" not in markdown
    assert "Selected on data that is not reported here: the greedy selection on digits (select)" in page


def test_data_use_is_shown_with_every_row(tmp_path):
    rows = [result("a", data_use="none"), result("b", data_use="unlabeled"), result("c", data_use="held-out, labels")]
    page = Page(written(tmp_path, {"results": rows})[2])
    assert [row[4] for row in page.tables["Accuracy on digits"]] == [
        "Data used",
        "none",
        "unlabeled",
        "held-out, labels",
    ]
    assert page.summary[-1].startswith("Some of the merges used data")


def summary_of(tmp_path, **report):
    return Page(written(tmp_path, report)[2]).summary


def test_summary_names_the_best_and_whether_that_is_settled(tmp_path):
    base, near, far = result("base", value=0.8, low=0.7, high=0.86), result("near"), result("far", low=0.88, value=0.91)
    found = summary_of(tmp_path / "a", results=[base, near, far])
    assert found[0] == "On digits, far is best: accuracy 91.00 % (95 % interval 88.00 to 94.00 %)."
    assert found[1].startswith("Next is near with 90.00 %; their intervals overlap")
    found = summary_of(tmp_path / "b", results=[result("base", value=0.2, low=0.1, high=0.3), far])
    assert found[1] == "Next is base with 20.00 %; their intervals do not overlap."
    found = summary_of(tmp_path / "c", results=[base, near, near | {"model": "twin"}])
    assert found[0].startswith("On digits, near and twin share the best accuracy 90.00 %")


def test_summary_knows_that_less_loss_is_better(tmp_path):
    rows = [
        result(name, metric="perplexity", value=value, low=1, high=90) for name, value in (("a", 30.0), ("b", 20.0))
    ]
    assert summary_of(tmp_path, results=rows)[0].startswith("On digits, b is best: perplexity 20 (95 %")


def test_summary_of_paired_tests(tmp_path):
    rows = [result(model) for model in MODELS]
    pairs = [comparison(MODELS[1], p_value=0.01), comparison(HOSTILE, p_value=0.4)]
    found = summary_of(tmp_path / "a", results=rows, comparisons=pairs)
    told = "1 of 2 differences is significant: tuned (+1.25 points, p 0.02)."
    assert f"Against base, after Holm's correction for 2 comparisons, {told}" in found
    found = summary_of(tmp_path / "b", results=rows, comparisons=pairs[1:])
    assert "No difference from base is significant after Holm's correction for 1 comparison (lowest p 0.8)." in found


def test_many_benchmarks_are_folded_and_turned(tmp_path):
    names = [f"task-{number}" for number in range(8)]
    rows = [result(model, name) for name in names for model in ("a", "b")]
    page = Page(written(tmp_path, {"results": rows})[2])
    assert [row[0] for row in page.tables["Main metric by model and benchmark"]] == [
        "Benchmark",
        *(f"{name}: accuracy" for name in names),
    ]
    assert page.tags.count("details") == 8 + 8  # each benchmark, and its table of all metrics


def test_models_of_other_folders_with_the_same_name_are_told_apart(tmp_path):
    rows = [result("x/soup"), result("y/soup"), result("ensemble(logits)")]
    page = Page(written(tmp_path, {"results": rows})[2])
    assert [row[0] for row in page.tables["Accuracy on digits"]][1:] == ["x/soup", "y/soup", "ensemble(logits)"]


def test_the_same_report_is_the_same_bytes(tmp_path):
    assert written(tmp_path / "one", full_report()) == written(tmp_path / "two", copy.deepcopy(full_report()))


def test_an_earlier_report_is_replaced_whole(tmp_path):
    write_report(tmp_path, {"results": [result("a-much-longer-name-than-the-other-one")]})
    write_report(tmp_path, {"results": [result("short")]})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md", "results.json"]
    assert all("longer" not in text for text in read(tmp_path))


def test_other_files_are_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(MergeError, match=r"holds other files, such as thesis\.tex"):
        write_report(tmp_path, full_report())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "report").write_text("")
    with pytest.raises(MergeError, match="this is a file"):
        check_directory(tmp_path / "report")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_have(tmp_path, number):
    report = full_report()
    report["merge"]["norm"] = number
    with pytest.raises(MergeError, match="nan or infinite"):
        write_report(tmp_path / "report", report)
    assert not (tmp_path / "report").exists()


def test_environment_names_the_versions():
    described = describe_environment()
    assert described["torch"] == metadata.version("torch")
    assert list(described)[:2] == ["merge", "python"]


def test_corruptions_have_one_chapter_of_their_own(tmp_path):
    names = [f"digits/{kind}/{severity}" for kind in ("fog", "snow") for severity in range(1, 6)]
    rows = [result(model, name, value=0.5) for name in names for model in ("a", "b")]
    page = Page(written(tmp_path, {"results": [result("a"), result("b"), *rows]})[2])
    table = page.tables["Accuracy on digits by corruption and severity"]
    assert table[:2] == [["Corruption", "Severity", "a", "b"], ["Fog", "1", "50.00 %", "50.00 %"]]
    assert len(table) == 11
    assert "Main metric by model and benchmark" not in page.tables
    assert not any("digits/fog" in caption for caption in page.tables)
