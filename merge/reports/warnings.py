"""What a reader must know before the numbers: were they chosen on the data that they report?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

TEST_INPUTS = "test inputs were used"  # how a warning begins about what was learned from the data of a test
CHOSEN = {
    "greedy": "the members of the greedy soup",
    "learned": "the weights of the learned soup",
    "coefficients": "the weights of the models",
    "search": "the options of the recipe",
}


def warnings(report: Mapping[str, Any]) -> list[str]:
    """Return a sentence for everything that was chosen on the data of the report."""
    found = []
    for key, what in CHOSEN.items():
        block = report.get(key)
        if block and block.get("same_data_as_report"):
            where = f" ({block['benchmark']}, split {block['split']})" if "split" in block else ""
            found.append(
                f"Selection and report use the same data: {what} were chosen on the data that is reported here{where}. "
                "The numbers are too good by an unknown amount; report on data that the selection has not seen."
            )
    return found + test_inputs(report)


def test_inputs(report: Mapping[str, Any]) -> list[str]:
    """Return the warnings about what was learned from the data of a test."""
    done = report.get("merge") or {}
    return [text for text in done.get("warnings") or () if text.startswith(TEST_INPUTS)]
