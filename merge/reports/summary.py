"""The first sentences of a report, made from its numbers: what is best, and how sure one can be of that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from .chapters.barrier import curve_name
from .chapters.comparisons import SIGNIFICANT
from .names import Names
from .rows import Row, benchmarks_of, best_value, clean_rows, is_model, main_rows, overlap, ranked, rows_of
from .values import NO_BREAK, listed, metric_difference, metric_range, metric_value, percent, seconds, size, title_of
from .warnings import test_inputs

CHOOSERS = ("greedy", "learned", "coefficients", "search")


def summary(report: Mapping[str, Any], names: Names) -> list[str]:
    """Return sentences for whatever the report holds, what matters most first."""
    found = [*_best(report, names), *_paired(report, names), *_chosen(report)]
    return [*found, *_retained(report, names), *_path(report), *_paths(report), *_merged(report)]


def _merged(report: Mapping[str, Any]) -> list[str]:
    merge = report.get("merge") or {}
    recipe, inputs = merge.get("recipe") or {}, rows_of(report, "models")
    if "merge" not in recipe or not inputs:
        return []
    bases = sum(model.get("name") == "base" for model in inputs)
    count = sum(is_model(model.get("name", "")) for model in inputs)
    text = f"{count} model{'s' * (count != 1)}{' and their base' if bases else ''}"
    text += ", their units brought into one order," if report.get("alignments") else ""
    text += f" merged by {_method(report, recipe)}"
    if "seconds" in merge and "bytes_written" in merge:
        text += f" in {seconds(merge['seconds'])}, {size(merge['bytes_written'])} written"
    return [f"{text}."]


def _method(report: Mapping[str, Any], recipe: Mapping[str, Any]) -> str:
    """Return the method by which statistics were gathered, if it is another than the merge itself is recorded as."""
    files = (report.get("statistics") or {}).get("files") or ()
    found = {file["about"].get("method") for file in files}
    gathered = found.pop() if len(found) == 1 else None
    return f"{gathered}, whose last step is {recipe['merge']}" if gathered else str(recipe["merge"])


def _best(report: Mapping[str, Any], names: Names) -> list[str]:
    """Say which model is best: on average if there is an average, else on every benchmark, three at most."""
    results = clean_rows(rows_of(report, "results"))
    averages = rows_of(report, "averages")
    benchmarks = benchmarks_of(results)
    if averages:
        most = max(len(row["benchmarks"]) for row in averages)  # experts are not evaluated everywhere
        rows = [row for row in averages if row["metric"] == averages[0]["metric"] and len(row["benchmarks"]) == most]
        return [
            *_leader(rows, f"On average over {most} benchmarks", names),
            *_wins(results, names),
        ]
    told = [text for one in benchmarks[:3] for text in _leader(main_rows(results, one), f"On {one}", names)]
    return told + ([f"The other {len(benchmarks) - 3} benchmarks are below."] if len(benchmarks) > 3 else [])


def _leader(rows: Sequence[Row], where: str, names: Names) -> list[str]:
    """Say which model is best, and whether the next one is clearly worse."""
    order = ranked(rows)
    first, metric = order[0], order[0]["metric"]
    found = f"{title_of(metric).lower()} {metric_value(first['value'], metric)}"
    found += f" (95{NO_BREAK}% interval {metric_range(first['interval'], metric)})"
    if len(order) == 1:
        return [f"{where}, {names(first['model'])} has {found}."]
    equal = [row for row in order if row["value"] == first["value"]]
    if len(equal) > 1:
        return [f"{where}, {listed([names(row['model']) for row in equal])} share the best {found}."]
    second = order[1]
    text = f"Next is {names(second['model'])} with {metric_value(second['value'], metric)}; their intervals"
    text += " overlap: these alone do not settle which is better." if overlap(first, second) else " do not overlap."
    return [f"{where}, {names(first['model'])} is best: {found}.", text]


def _wins(results: Sequence[Row], names: Names) -> list[str]:
    """Say how many benchmarks each model leads, shared leads not counted."""
    leads: dict[str, int] = {}
    benchmarks = benchmarks_of(results)
    for benchmark in benchmarks:
        rows = main_rows(results, benchmark)
        leaders = [row["model"] for row in rows if row["value"] == best_value(rows)]
        if len(leaders) == 1:
            leads[leaders[0]] = leads.get(leaders[0], 0) + 1
    if not leads:
        return []
    order = sorted(leads, key=leads.__getitem__, reverse=True)
    told = listed([f"{names(model)} on {leads[model]}" for model in order])
    return [f"Alone in front, of {len(benchmarks)} benchmarks: {told}."]


def _paired(report: Mapping[str, Any], names: Names) -> list[str]:
    """Say which differences from the first model are more than chance."""
    rows = rows_of(report, "comparisons")
    if not rows:
        return []
    reference, count = names(rows[0]["reference"]), len(rows)
    real = sorted(
        (row for row in rows if row["p_value_holm"] < SIGNIFICANT),
        key=lambda row: (row["p_value_holm"], row["p_value"]),
    )
    tests = f"after Holm's correction for {count} comparison{'s' * (count != 1)}"
    if not real:
        lowest = min(row["p_value_holm"] for row in rows)
        return [f"No difference from {reference} is significant {tests} (lowest p {lowest:.2g})."]
    clear = (
        f"{len(real)} of {count} differences {'are' if len(real) > 1 else 'is'}" if count > 1 else "the difference is"
    )
    first = "; the clearest is" if len(real) > 1 else ":"
    told = _told(real[0], names, several=len(benchmarks_of(rows)) > 1)
    return [f"Against {reference}, {tests}, {clear} significant{first} {told}."]


def _told(row: Row, names: Names, *, several: bool) -> str:
    where = f" on {row['benchmark']}" if several else ""
    difference = metric_difference(row["difference"], row["metric"])
    return f"{names(row['model'])}{where} ({difference}, p {row['p_value_holm']:.2g})"


def _retained(report: Mapping[str, Any], names: Names) -> list[str]:
    rows = rows_of(report, "retention")
    if not rows:
        return []
    worst = min(rows, key=lambda row: row["value"])
    best = max(rows, key=lambda row: row["value"])
    told = f"{names(best['model'])} keeps {percent(best['value'])} of {names(best['expert'])} on {best['benchmark']}"
    if worst is best:
        return [f"{told}."]
    return [
        f"Of the experts, most is kept by {told.replace(' keeps ', ': ')}, least by {names(worst['model'])}: "
        f"{percent(worst['value'])} of {names(worst['expert'])} on {worst['benchmark']}."
    ]


def _path(report: Mapping[str, Any]) -> list[str]:
    """Say how high the barriers of the main metric are, by the definition that was asked for."""
    found = report.get("barrier") or {}
    told = []
    for curve in found.get("curves") or ():
        rows = [one for one in curve["barriers"] if one["definition"] == found["definition"]]
        told += [f"{metric_difference(one['value'], one['metric'])} ({curve_name(curve)})" for one in rows[:1]]
        metric = rows[0]["metric"] if rows else ""
    if not told:
        return []
    return [
        f"The barrier of the {title_of(metric).lower()} between the models ({found['definition']}): {listed(told)}."
    ]


def _paths(report: Mapping[str, Any]) -> list[str]:
    """Say how high the highest barrier of the main metric between two of several models is, on every kind of line."""
    found = report.get("barrier_matrix") or {}
    shown = [one for one in found.get("matrices") or () if one["definition"] == found["definition"]]
    first = {curve_name(one): one for one in reversed(shown)}  # of every line the first, which is of the main metric
    told = [
        f"{metric_difference(max(map(max, one['values'])), one['metric'])} ({name})"
        for name, one in reversed(first.items())
    ]
    if not told:
        return []
    between = f"between two of {len(found['models'])} models ({found['definition']})"
    return [f"The highest barrier of the {title_of(shown[0]['metric']).lower()} {between}: {listed(told)}."]


def _chosen(report: Mapping[str, Any]) -> list[str]:
    """Say what was selected on which data; the same data as the report is a warning, not told here."""
    chosen = [(key, report[key]) for key in CHOOSERS if report.get(key)]
    honest = [f"the {key} selection {_on(block)}" for key, block in chosen if not block.get("same_data_as_report")]
    if honest:
        return [f"Selected on data that is not reported here: {listed(honest)}."]
    if chosen or test_inputs(report) or not rows_of(report, "results"):
        return []
    if any(row["data_use"] != "none" for row in rows_of(report, "results")):
        return ["Some of the merges used data, as the tables say; nothing was selected on the data reported here."]
    return ["Nothing was selected on the data reported here: no model, weight or option."]


def _on(block: Row) -> str:
    return f"on {block['benchmark']} ({block['split']})" if "split" in block else "on held-out benchmarks"
