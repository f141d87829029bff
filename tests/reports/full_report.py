"""A made-up report in which every part is present, with models whose names are as hostile as names can be."""

from __future__ import annotations

from typing import Any

HOSTILE = "</title><script>alert(1)</script>|`$x$`<img src=x onerror=alert(2)>\"'&"
MODELS = ("runs/base", "runs/tuned", HOSTILE)


def result(model, benchmark="digits", metric="accuracy", value=0.9, low=0.85, high=0.94, **more):
    fixed = {"n": 540, "seed": 3, "data_use": "none", "split": "test", "head": "own", "identity": "sha256:00"}
    return (
        {"model": model, "benchmark": benchmark, "metric": metric, "value": value, "interval": [low, high]}
        | fixed
        | more
    )


def comparison(model, benchmark="digits", p_value=0.0654):
    found = {"model": model, "reference": MODELS[0], "benchmark": benchmark, "metric": "accuracy", "n": 540}
    found |= {"difference": 0.0125, "only_model_right": 9, "only_reference_right": 2, "test": "exact McNemar"}
    return found | {"p_value": p_value, "p_value_holm": min(1.0, 2 * p_value)}


def details(model, benchmark):
    classes = [{"label": label, "n": 10, "right": 9 - label, "interval": [0.5, 0.97]} for label in range(2)]
    bins = [{"low": 0.4, "high": 0.6, "n": 8, "right": 4, "confidence": 0.55}]
    bins += [{"low": 0.8, "high": 1.0, "n": 12, "right": 12, "confidence": 0.96}]
    return {"model": model, "benchmark": benchmark, "classes": classes, "calibration": bins}


def greedy(*, same):
    scores, members = (0.8, 0.79, 0.83), [f"runs/member-{number}" for number in (1, 2, 3)]
    found = {"accept": "ge", "benchmark": "digits", "split": "select", "metric": "accuracy", "higher_is_better": True}
    steps = [
        {"model": members[0], "members": members[:1], "score": 0.8, "best_before": None, "accepted": True},
        {"model": members[1], "members": members[:2], "score": 0.795, "best_before": 0.8, "accepted": False},
        {"model": members[2], "members": [members[0], members[2]], "score": 0.83, "best_before": 0.8, "accepted": True},
    ]
    return found | {
        "minimum_gain": 0.0,
        "same_data_as_report": same,
        "members": [
            {"model": model, "identity": "sha256:00", "score": score, "interval": [0.7, 0.9], "n": 300, "rank": rank}
            for rank, (model, score) in enumerate(zip(members, scores, strict=True), start=1)
        ],
        "steps": [step | {"interval": [0.75, 0.85]} for step in steps],
        "selected": [members[0], members[2]],
        "score": 0.83,
        "written": {"score": 0.825, "interval": [0.75, 0.87], "n": 300},
    }


def learned(*, same):
    weights = [{"model": model, "weight": weight} for model, weight in zip(MODELS, (0.6, -0.1, 0.5), strict=True)]
    found = {"benchmark": "digits", "split": "select", "by_tensor": False, "epochs": 2, "learning_rate": 0.05}
    found |= {"loss_before": 0.7, "loss_after": 0.61, "temperature": 1.25, "weights": weights}
    return found | {"history": [0.7, 0.65, 0.61], "same_data_as_report": same}


def barrier_matrix():
    curves = barrier()["curves"]
    pairs = [
        {**curve, "first": one, "second": other, "a": MODELS[one]}
        for curve in curves
        for one, other in ((0, 1), (0, 2), (1, 2))
    ]
    matrices = [
        {
            "name": curve["name"],
            "benchmark": curve["benchmark"],
            "split": "test",
            "metric": row["metric"],
            "definition": row["definition"],
            "values": [[0.0 if one == other else row["value"] for other in range(3)] for one in range(3)],
        }
        for curve in curves
        for row in curve["barriers"]
    ]
    aligned = [MODELS[0], "b-aligned", "c-aligned"]
    return {"models": list(MODELS), "definition": "linear", "pairs": pairs, "matrices": matrices, "aligned": aligned}


def barrier():
    def measure(value):
        return {"value": value, "interval": [value - 0.05, value + 0.05], "n": 540}

    def curve(name, benchmark, height):
        points = [
            {"position": place, "metrics": {"accuracy": measure(0.9 - rise / 4), "loss": measure(0.4 + rise)}}
            for place, rise in ((0.0, 0.0), (0.5, height), (1.0, 0.0))
        ]
        found = [
            {"metric": metric, "definition": definition, "value": value, "at": 0.5}
            for metric, value in (("accuracy", height / 4), ("loss", height))
            for definition in ("linear", "midpoint-mean")
        ]
        return {"name": name, "b": "b", "benchmark": benchmark, "split": "test", "points": points, "barriers": found}

    curves = [curve(name, one, height) for name, height in (("naive", 1.2), ("aligned", 0.2)) for one in ("x", "y")]
    layer = {"layer": "encoder.layer.0", "benchmark": "x", "metrics": {"loss": measure(0.5)}, "worse": {"loss": 0.1}}
    heights = [{"metric": "loss", "definition": one, "value": 0.1, "at": 0.5} for one in ("linear", "midpoint-mean")]
    layer |= {"line": "naive", "points": curves[0]["points"], "barriers": heights}
    return {"a": "runs/base", "b": HOSTILE, "definition": "linear", "curves": curves, "layers": [layer]}


def layers():
    return [
        {"layer": layer, "tensors": 4, "parameters": 1000, "norms": {MODELS[1]: norm, MODELS[2]: None}, "conflict": 0.4}
        | {"cosines": [{"a": MODELS[1], "b": MODELS[2], "value": cosine}]}
        for layer, norm, cosine in (("encoder.layer.0", 1.5, 0.3), ("encoder.layer.1", 2.5, -0.2))
    ]


def search():
    trials = [
        {"number": number, "values": {"scale": 0.1 * number}, "scores": {"digits": 0.8 + 0.01 * number, "other": 0.7}}
        for number in range(3)
    ]
    found = {"sampler": "cma-es", "objective": "mean", "parameters": ["scale"], "pareto": [2]}
    found |= {"metric": "accuracy", "best": {"number": 2, "values": {"scale": 0.2}, "score": 0.76}}
    return found | {"trials": [trial | {"accepted": trial["number"] == 2} for trial in trials]}


def full_report(*, same: bool = False) -> dict[str, Any]:
    benchmarks = ("digits", "other")
    pairs = [(model, benchmark) for benchmark in benchmarks for model in MODELS]
    values = dict(zip(MODELS, (0.8, 0.9, 0.85), strict=True))
    merge = {"output": "out.st", "recipe": {"merge": "soup", "models": [{"model": HOSTILE, "weight": 0.5}]}}
    return {
        "title": f"Evaluation of {HOSTILE}",
        "results": [
            row
            for model, benchmark in pairs
            for row in (result(model, benchmark, value=values[model]), result(model, benchmark, "loss", 0.4, 0.3, 0.5))
        ],
        "comparisons": [comparison(model, benchmark) for model, benchmark in pairs if model != MODELS[0]],
        "averages": [
            {"model": model, "metric": "accuracy", "value": values[model], "interval": [0.7, 0.95]}
            | {"benchmarks": list(benchmarks)}
            for model in MODELS
        ],
        "retention": [
            {"model": HOSTILE, "benchmark": "digits", "expert": MODELS[1], "metric": "accuracy", "value": 0.95}
            | {"interval": [0.9, 1.01]}
        ],
        "details": [details(model, benchmark) for model, benchmark in pairs],
        "timings": [
            {
                "model": model,
                "benchmark": benchmark,
                "seconds": 1.5,
                "items_per_second": 360.0,
                "peak_memory_bytes": None,
            }
            for model, benchmark in pairs
        ],
        "notes": [f"{HOSTILE} was slow"],
        "corruption": [
            {"model": model, "benchmark": "digits", "reference": MODELS[0], "mean_corruption_error": 0.9}
            | {"errors": {"motion_blur": 0.9}, "error_rates": {"motion_blur": 0.31}}
            for model in MODELS
        ],
        "greedy": greedy(same=same),
        "learned": learned(same=same),
        "weights": [{"model": HOSTILE, "weight": 0.5}, {"model": MODELS[1], "weight": 0.5}],
        "barrier": barrier(),
        "barrier_matrix": barrier_matrix(),
        "layers": layers(),
        "layers_measured_from": "the base",
        "search": search(),
        "merge": merge | {"output_id": "sha256:11", "bytes_read": 2500000, "bytes_written": 1000000, "seconds": 2.5},
        "models": [{"name": "base", "location": model, "content_id": "sha256:ab"} for model in MODELS],
        "environment": {"merge": "0.1.0", "torch": "2.6.0"},
        "run": {"seconds": 150.0, "peak_memory_bytes": 3 * 10**9},
    }
