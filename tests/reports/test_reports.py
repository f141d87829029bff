"""Reports from fabricated rows: complete, escaped, strict, the same bytes every time, polite to other files."""

from __future__ import annotations

import html
import json
import re
from html.parser import HTMLParser
from importlib import metadata

import pytest

from merge.errors import MergeError
from merge.reports import check_directory, describe_environment, write_report

HOSTILE = "<script>alert(1)</script>|`$x$`"


def result(model, benchmark="digits", metric="accuracy", value=0.9, low=0.85, high=0.94):
    return {
        "model": model,
        "benchmark": benchmark,
        "metric": metric,
        "value": value,
        "n": 540,
        "interval": [low, high],
        "seed": 3,
        "data_use": "none",
        "split": "test",
        "head": "own",
        "identity": "sha256:00",
    }


def evaluation(model="soup"):
    comparison = {"model": model, "reference": "base", "benchmark": "digits", "metric": "accuracy", "n": 540}
    comparison |= {"difference": 0.0125, "only_model_right": 9, "only_reference_right": 2}
    comparison |= {"test": "exact McNemar", "p_value": 0.0654, "p_value_holm": 0.131}
    return {
        "title": "Evaluation",
        "results": [result("base", value=0.8, low=0.76, high=0.83), result(model), result(model, benchmark="other")],
        "comparisons": [comparison],
        "models": [{"name": model, "location": f"./{model}", "identity": "sha256:abc"}],
        "environment": {"torch": "2.6.0"},
    }


MERGE = {
    "title": "Soup",
    "merge": {
        "method": "soup",
        "options": {"weights": [0.5, 0.5]},
        "models": ["a.st", HOSTILE],
        "output": "out.st",
        "ledger": {"merged": 40, "copied": 2},
        "notes": [],
        "base": None,
    },
    "environment": {"merge": "0.1.0"},
}


def read(directory):
    return [(directory / name).read_text(encoding="utf-8") for name in ("results.json", "report.md", "report.html")]


def test_three_files_with_what_a_reader_needs(tmp_path):
    files = write_report(tmp_path / "a" / "report", evaluation())
    assert [file.name for file in files] == ["results.json", "report.md", "report.html"]
    document, markdown, page = read(tmp_path / "a" / "report")
    assert json.loads(document) == evaluation()
    for text in (markdown, html.unescape(page)):
        for needed in ("0.9000", "0.8500 to 0.9400", "540", "none", "+1.25 points", "0.0654", "0.131", "sha256:abc"):
            assert needed in text
        assert "selected no model, weight or option" in text


def test_every_benchmark_has_a_plot_of_its_models(tmp_path):
    write_report(tmp_path, evaluation())
    page = read(tmp_path)[2]
    plots = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(plots) == 2
    assert "base" in plots[0]
    assert "base" not in plots[1]
    assert "n = 540" in plots[0]


def test_names_are_escaped_everywhere(tmp_path):
    write_report(tmp_path, evaluation(HOSTILE))
    _, markdown, page = read(tmp_path)
    assert "<script" not in page
    assert "<script" not in markdown.replace("\\<", "")
    assert html.escape(HOSTILE, quote=False) in page
    rows = [line for line in markdown.splitlines() if "alert" in line and "0.9000" in line]
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 8 for row in rows)
    assert len(rows) == 2


def test_page_is_well_formed_and_loads_nothing(tmp_path):
    write_report(tmp_path, evaluation())
    seen = Tags()
    seen.feed(read(tmp_path)[2])
    assert seen.open == []
    assert seen.references == set()


def test_merge_without_results(tmp_path):
    write_report(tmp_path, MERGE)
    document, markdown, page = read(tmp_path)
    assert json.loads(document) == MERGE
    assert "<svg" not in page
    assert "<script" not in page
    assert "Ledger | merged: 40, copied: 2 |" in markdown
    assert "Weights" not in markdown
    assert "weights: 0.5; 0.5" in markdown


def test_the_same_report_is_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_report(tmp_path / name, evaluation())
    assert read(tmp_path / "one") == read(tmp_path / "two")


def test_an_earlier_report_is_replaced_whole(tmp_path):
    write_report(tmp_path, evaluation("a-much-longer-name-than-the-other-one"))
    write_report(tmp_path, evaluation("short"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "report.md", "results.json"]
    assert all("longer" not in text for text in read(tmp_path))


def test_other_files_are_not_touched(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(MergeError, match=r"holds other files, such as thesis\.tex"):
        write_report(tmp_path, evaluation())
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_a_file_where_the_folder_should_be(tmp_path):
    (tmp_path / "report").write_text("")
    with pytest.raises(MergeError, match="this is a file"):
        check_directory(tmp_path / "report")


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_numbers_that_json_does_not_have(tmp_path, number):
    report = MERGE | {"merge": {"norm": number}}
    with pytest.raises(MergeError, match="nan or infinite"):
        write_report(tmp_path / "report", report)
    assert not (tmp_path / "report").exists()


def test_environment_names_the_versions():
    described = describe_environment()
    assert described["torch"] == metadata.version("torch")
    assert list(described)[:2] == ["merge", "python"]


class Tags(HTMLParser):
    """Collects tags that stay open and addresses that a browser would load."""

    def __init__(self):
        super().__init__()
        self.open, self.references = [], set()

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "br"):
            self.open.append(tag)
        self.references |= {
            value for name, value in attrs if name in ("src", "href", "xlink:href") and not value.startswith("#")
        }

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
