"""What lm-evaluation-harness found ▸ measures with intervals, and the items that pair two models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ...errors import MergeError, UsageError, suggest
from ..metrics import CONFIDENCE, wilson
from ..outcome import LOWER_IS_BETTER, Measure, Outcome
from .harness_tasks import HarnessData, LoadedTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

RESAMPLES = 1000
NAMES = {"acc": "accuracy"}  # all others keep the harness's name
RIGHT_OR_WRONG = ("mcc", "f1")  # whose values of one document are the label and the answer
Key = tuple[str, str]  # metric and filter


def outcome_of(
    found: dict[str, Any],
    task: LoadedTask,
    data: HarnessData,
    metric: str | None,
    *,
    model: str,
    seed: int,
    notes: Sequence[str] = (),
) -> Outcome:
    """Return the measures of a task, the main one first: ``metric``, else accuracy, else the task's first.

    Args:
        found: What ``simple_evaluate`` returned.
        task: The task.
        data: Its documents, and its place in the benchmark file.
        metric: The harness's name of the main metric; None: accuracy, else the task's first.
        model: Its name, for messages.
        seed: For resampling.
        notes: On how the model was run.

    Raises:
        UsageError: The task has no such metric.
        MergeError: The main metric is not finite, or nothing gives its interval.
    """
    numbers = found["results"][data.task]
    keys = [_split(name) for name in numbers if "," in name and "_stderr," not in name]
    main = _main(keys, found["higher_is_better"][data.task], metric, data)
    ordered = [main, *(key for key in keys if key != main)]
    documents = {key: _values(found["samples"], key) for key in ordered}
    measures: list[Measure] = []
    notes = list(notes)
    for key in ordered:
        name = _name(key, main)
        lower = found["higher_is_better"][data.task].get(key[0]) is False
        measure = (
            None if lower and name not in LOWER_IS_BETTER else _measure(name, key, numbers, documents[key], task, seed)
        )
        measures += [measure] if measure else []
        notes += (
            [] if measure else [f"{name} of lm-evaluation-harness has no row: no interval, or it is not known here"]
        )
    if not measures or measures[0].metric != _name(main, main):
        raise MergeError(f"the metric '{main[0]}' of '{data.task}' has no finite value with an interval", where=model)
    items, item_metric = _items(documents[main], main[0], task)
    pairing = "" if items.size else model  # nothing to pair
    details = {"lm_eval": {name: _plain(number) for name, number in numbers.items()}, "notes": notes}
    return Outcome(tuple(measures), items, item_metric, pairing, details=details)


def _split(name: str) -> Key:
    metric, _, chosen = name.partition(",")
    return metric, chosen


def _main(keys: Sequence[Key], order: dict[str, Any], metric: str | None, data: HarnessData) -> Key:
    known = dict(reversed(keys))  # the first filter of each
    wanted = metric or ("acc" if "acc" in known else next((name for name in order if name in known), ""))
    if wanted not in known:
        hint = suggest(wanted, known) or f"its metrics: {', '.join(known) or 'none'}"
        raise UsageError(f"the task '{data.task}' has no metric '{wanted}'", where=data.where, hint=hint)
    return wanted, known[wanted]


def _name(key: Key, main: Key) -> str:
    metric, chosen = key
    name = NAMES.get(metric, metric)
    return name if chosen in ("none", main[1]) else f"{name},{chosen}"


def _values(samples: dict[str, list[dict[str, Any]]], key: Key) -> list[Any]:
    """Return the metric of every document, task by task."""
    metric, chosen = key
    kept = [sample for of_task in samples.values() for sample in of_task if sample["filter"] == chosen]
    return [sample[metric] for sample in kept if metric in sample]


def _measure(
    name: str, key: Key, numbers: dict[str, Any], values: Sequence[Any], task: LoadedTask, seed: int
) -> Measure | None:
    """Return a value with its interval: Wilson's for a share, else a bootstrap of the harness's own formula."""
    import numpy as np

    metric, chosen = key
    value, error = _number(numbers[f"{metric},{chosen}"]), _number(numbers.get(f"{metric}_stderr,{chosen}"))
    if value is None:
        return None
    if _are_shares(values) and np.isclose(np.mean(values), value, rtol=0, atol=1e-9):
        return Measure(name, value, *wilson(round(sum(values)), len(values)), len(values))
    if len(task.leaves) == 1 and len(values) > 1:
        (leaf,) = task.leaves.values()
        low, high = _bootstrap(values, leaf.aggregation()[metric], seed)
        if np.isfinite([low, high]).all():
            return Measure(name, value, low, high, len(values))
    if error is None:
        return None
    from scipy.stats import norm

    reach = float(norm.ppf((1 + CONFIDENCE) / 2)) * error
    return Measure(name, value, value - reach, value + reach, len(values) or task.n)


def _bootstrap(values: Sequence[Any], formula: Callable[[list[Any]], Any], seed: int) -> tuple[float, float]:
    """Return the interval, nan where the formula has no value for some resample."""
    import warnings

    import numpy as np
    from scipy.stats import bootstrap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of resamples without one of the classes
        found = bootstrap(
            (np.arange(len(values)),),
            lambda drawn: float(formula([values[item] for item in drawn])),
            vectorized=False,
            n_resamples=RESAMPLES,
            confidence_level=CONFIDENCE,
            method="percentile",
            rng=np.random.default_rng(seed),
        )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def _items(values: Sequence[Any], metric: str, task: LoadedTask) -> tuple[NDArray[np.bool_] | NDArray[np.float64], str]:
    """Return what pairs two models, one item a document, and its name; nothing where documents have no number."""
    import numpy as np

    name = NAMES.get(metric, metric)
    if _are_shares(values):
        return np.array(values, np.float64) > 0.5, name
    if all(_number(value) is not None for value in values):
        return np.array([_number(value) for value in values], np.float64), name
    if metric in RIGHT_OR_WRONG:
        return np.array([label == answer for label, answer in values]), "accuracy"
    if all(leaf.OUTPUT_TYPE == "loglikelihood_rolling" for leaf in task.leaves.values()):
        return np.array([-nats[0] for nats in values]) / np.log(2), "bits_per_document"
    return np.zeros(0), name


def _are_shares(values: Sequence[Any]) -> bool:
    return bool(values) and all(_number(value) in (0.0, 1.0) for value in values)


def _number(value: Any) -> float | None:
    """Return a finite number, or None for anything else, such as the harness's ``N/A``."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if abs(number) < float("inf") else None


def _plain(value: Any) -> Any:
    number = _number(value)
    return str(value) if number is None else number
