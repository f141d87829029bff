"""What ``medical.py`` runs: the models of every seed over the benchmarks, and where their scores are in the rows."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from medical_tables import Scores

import merge
from merge.evaluation.corrupting import corruption_of
from merge.evaluation.results import Evaluation
from merge.evaluation.specification import read_benchmarks

PRETRAINED = "pretrained"
PLACE = "{seed}"
TOP_1, BALANCED, CORRUPTED = "accuracy", "per_class_accuracy", "mean_corruption_error"
KINDS = {TOP_1: "top-1 accuracy %", BALANCED: "balanced accuracy %", "auc": "area under the ROC curve %"}


@dataclass(frozen=True)
class Protocol:
    """What is run.

    Attributes:
        pretrained: The pretrained model, which corruption errors are relative to.
        models: What the tables call each other model ▸ its name, with a place for the seed.
        seeds: Of training.
        in_domain: Benchmarks of the experts' own data sets, clean and corrupted.
        novel: Benchmarks of other data sets.
    """

    pretrained: str
    models: Mapping[str, str]
    seeds: Sequence[str]
    in_domain: str
    novel: str

    def names(self, seed: str) -> dict[str, str]:
        """Return what ``merge eval`` is given ▸ what the tables call it, the pretrained model first."""
        given = {PRETRAINED: self.pretrained, **self.models}
        return {name.replace(PLACE, seed): label for label, name in given.items()}


def groups_of(protocol: Protocol) -> dict[str, list[str]]:
    """Return the clean benchmarks of both groups. Raises UsageError for a wrong file, before anything is run."""
    specs = {"In-domain": protocol.in_domain, "Other data sets of the same modality": protocol.novel}
    return {title: _clean(spec) for title, spec in specs.items()}


def _clean(spec: str) -> list[str]:
    return [one.name for one in read_benchmarks([spec]) if corruption_of(one) is None]


def evaluate_seed(protocol: Protocol, seed: str, options: Mapping[str, object]) -> Evaluation:
    """Evaluate all models of one seed; what corrupts images is the same for all seeds."""
    print(f"seed {seed}", file=sys.stderr, flush=True)
    names = protocol.names(seed)
    return merge.evaluate([*names], [protocol.in_domain, protocol.novel], **options)  # type: ignore[arg-type]


def scores_of(evaluation: Evaluation, names: Mapping[str, str], metric: str) -> Scores:
    """Return label ▸ benchmark ▸ value of one metric."""
    scores: Scores = {}
    if metric == CORRUPTED:
        for row in evaluation.corruption:
            scores.setdefault(label_of(row["model"], names), {})[row["benchmark"]] = row[CORRUPTED]
        return scores
    for row in evaluation.results:
        if row["metric"] == metric:
            scores.setdefault(label_of(row["model"], names), {})[row["benchmark"]] = row["value"]
    return scores


def label_of(row: str, names: Mapping[str, str]) -> str:
    """Return what the tables call the model of a row.

    A bundle's own rows are its name and more behind it. The number is left out of the one whose weight is the mean of
    the bundle's, since that mean changes with the seed.
    """
    if row in names:
        return names[row]
    starts = [name for name in names if row.startswith(f"{name} (")]
    label = names[starts[0]] + row.removeprefix(starts[0]) if starts else row
    return re.sub(r"constant -?[0-9.]+, the mean", "constant, the mean", label)
