"""Runs the medical protocol for checkpoints of several training seeds, and prints its tables.

Four modalities in-domain (MedMNIST), on other data sets of the same modality (MedIMeta), and under corruptions
(MedMNIST-C), for a pretrained CLIP-like model, experts tuned from it, and merges of both. ``{seed}`` in a name stands
for each seed in turn:

    python benchmarks/medical.py --pretrained clip --model expert=runs/{seed}/expert --model t3=runs/{seed}/t3

A model is whatever ``merge eval`` takes: a folder, a safetensors file, a recipe, a bundle. A bundle brings rows of its
own, such as its controls; they are named after it.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from medical_protocol import (
    CORRUPTED,
    KINDS,
    PLACE,
    PRETRAINED,
    TOP_1,
    Protocol,
    evaluate_seed,
    groups_of,
    scores_of,
)
from medical_tables import difference_table, score_table

from merge.errors import MergeError, UsageError
from merge.evaluation.results import Evaluation

NOTES = """\
Seeds of training: {seeds}. Cells are means over them, with Student's t interval (95 %) where there are several. The
mean corruption error has the pretrained model as reference: below 100 is better than it. Novel sets whose name ends in
same-images are no novel images.
"""


def main() -> None:
    """Run the protocol, print the tables, and keep the rows if a file is named."""
    arguments = parse(sys.argv[1:])
    try:
        protocol = read_protocol(arguments)
        groups = groups_of(protocol)
        options = {"model": arguments.architecture, "device": arguments.device, "batch_size": arguments.batch_size}
        found = {seed: evaluate_seed(protocol, seed, options) for seed in protocol.seeds}
    except MergeError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    if arguments.json is not None:
        rows = {seed: evaluation.as_json() for seed, evaluation in found.items()}
        arguments.json.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(f"```\n{shlex.join(['python', 'benchmarks/medical.py', *sys.argv[1:]])}\n```\n")
    print(NOTES.format(seeds=", ".join(protocol.seeds)))
    print("\n\n".join(sections(protocol, groups, found)))


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Read the flags. Raises SystemExit with code 2 when they are wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pretrained", required=True, help="the pretrained model; {seed} stands for the seed")
    parser.add_argument("--model", action="append", required=True, metavar="LABEL=NAME", help="an expert or a merge")
    parser.add_argument("--seeds", nargs="+", default=["0", "1", "2"], help="of training (default: 0 1 2)")
    parser.add_argument("--in-domain", default="medical-corruptions", metavar="SPEC", help="(default: %(default)s)")
    parser.add_argument("--novel", default="medical-novel", metavar="SPEC", help="(default: %(default)s)")
    parser.add_argument("--architecture", metavar="NAME", help="of bare checkpoints, as merge eval's --model")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all rows of all seeds")
    return parser.parse_args(words)


def read_protocol(arguments: argparse.Namespace) -> Protocol:
    """Return what the flags ask for.

    Raises:
        UsageError: A label is missing or used twice, or a model would be the same for all seeds.
    """
    models: dict[str, str] = {}
    for text in arguments.model:
        label, equals, name = text.partition("=")
        if not (equals and label and name):
            raise UsageError(f"'{text}' is no model", hint="write --model expert=runs/{seed}/expert")
        if label in (PRETRAINED, *models):
            raise UsageError(f"two models are called '{label}'")
        if len(arguments.seeds) > 1 and PLACE not in name:
            raise UsageError(f"'{name}' is the same for all seeds", hint=f"put {PLACE} in it, or give one seed")
        models[label] = name
    if len({*arguments.seeds}) < len(arguments.seeds):
        raise UsageError("a seed is given twice")
    return Protocol(arguments.pretrained, models, arguments.seeds, arguments.in_domain, arguments.novel)


def sections(protocol: Protocol, groups: Mapping[str, Sequence[str]], found: Mapping[str, Evaluation]) -> Iterator[str]:
    """Yield the tables, each with its heading."""
    by_metric = {
        metric: [scores_of(evaluation, protocol.names(seed), metric) for seed, evaluation in found.items()]
        for metric in (*KINDS, CORRUPTED)
    }
    for title, benchmarks in groups.items():
        for metric, words in KINDS.items():
            if any(by_metric[metric]):
                yield f"### {title}: {words}\n\n{score_table(by_metric[metric], benchmarks)}"
        yield f"{title}, paired over seeds, points:\n\n{difference_table(by_metric[TOP_1], benchmarks, PRETRAINED)}"
    corrupted = list(dict.fromkeys(row["benchmark"] for one in found.values() for row in one.corruption))
    if corrupted:
        yield f"### Under corruptions: mean corruption error\n\n{score_table(by_metric[CORRUPTED], corrupted)}"
        differences = difference_table(by_metric[CORRUPTED], corrupted, PRETRAINED)
        yield f"Under corruptions, paired over seeds, points:\n\n{differences}"
    notes = dict.fromkeys(note for one in found.values() for note in one.notes if "no mean corruption error" in note)
    yield from notes


if __name__ == "__main__":
    main()
