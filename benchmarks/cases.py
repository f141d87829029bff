"""Which merges are measured, and the targets: every case makes its inputs and returns the rows of the table."""

from __future__ import annotations

from collections.abc import Callable

from checkpoints import many_layout, one_layout, write_sparse
from inputs import Inputs
from method_cases import methods
from rows import Row, Target, cpu_ratio, growth, merge, peak, wall_ratio, yardstick
from startup import planning, startup

_LARGE_FACTOR = 8  # how much larger the inputs are that must not take more memory


def _against_yardstick(inputs: Inputs) -> tuple[Target, ...]:
    cpu, wall = (2.7, 1.5) if inputs.gigabytes >= 4 else (3.3, 2.0)  # starting Python weighs less in longer runs
    return cpu_ratio(cpu, "Y"), wall_ratio(wall, "Y")


def soup(inputs: Inputs) -> list[Row]:
    """Two bfloat16 fine-tunes, the case to quote."""
    models = [inputs.tuned(1), inputs.tuned(2)]
    out = inputs.output("soup.st")
    targets = (*_against_yardstick(inputs), peak(100))
    return [
        yardstick(inputs, "Y, 2 x bf16", models),
        Row("soup, 2 x bf16", (merge("soup", models, out),), "Y, 2 x bf16", targets, out),
        Row("soup, 2 x bf16, with fsync", (merge("soup", models, out, fsync=True),), "Y, 2 x bf16", (), out),
    ]


def types(inputs: Inputs) -> list[Row]:
    """More inputs and other types, each against the yardstick of its own bytes."""
    groups = {
        "4 x bf16": [inputs.tuned(variant) for variant in range(1, 5)],
        "2 x fp16": [inputs.tuned(1, "F16"), inputs.tuned(2, "F16")],
        "2 x fp32": [inputs.tuned(1, "F32"), inputs.tuned(2, "F32")],
        "bf16 + fp32": [inputs.tuned(1), inputs.tuned(2, "F32")],
    }
    out = inputs.output("soup.st")
    rows = []
    for label, models in groups.items():
        rows.append(yardstick(inputs, f"Y, {label}", models))
        command = merge("soup", models, out)
        rows.append(Row(f"soup, {label}", (command,), f"Y, {label}", _against_yardstick(inputs), out))
    return rows


def small_tensors(inputs: Inputs) -> list[Row]:
    """A hundred thousand small tensors against one large tensor of the same bytes."""
    count = max(1, round(100_000 * min(1.0, inputs.gigabytes)))
    many = [inputs.file(f"many-{variant}.st", many_layout(count), "BF16", variant) for variant in (1, 2)]
    one = [inputs.file(f"one-{variant}.st", one_layout(count), "BF16", variant) for variant in (1, 2)]
    out = inputs.output("soup.st")
    reference = "soup, 1 large tensor"
    return [
        Row(reference, (merge("soup", one, out),), output=out),
        Row(f"soup, {count:,} tensors", (merge("soup", many, out),), reference, (wall_ratio(2, "x"),), out),
    ]


def ties(inputs: Inputs) -> list[Row]:
    """Methods that take a base, against the soup of the same four files."""
    base, *models = (inputs.tuned(variant) for variant in range(4))
    out = inputs.output("merged.st")
    reference = "soup, base + 3 x bf16"
    options = ("--base", str(base))
    arithmetic = merge("task-arithmetic", models, out, *options)
    return [
        Row(reference, (merge("soup", [base, *models], out),), output=out),
        Row("task-arithmetic, base + 3", (arithmetic,), reference, (peak(100),), out),
        Row("ties, base + 3", (merge("ties", models, out, *options),), reference, (cpu_ratio(8, "x"), peak(150)), out),
    ]


def memory(inputs: Inputs) -> list[Row]:
    """Peak memory with more inputs and with larger ones, which are sparse: zeros are merged like any number."""
    models = [inputs.tuned(variant) for variant in range(6)]
    out = inputs.output("merged.st")
    reference = f"memory, 2 x {inputs.gigabytes:g} GB"
    rows = [Row(reference, (merge("soup", models[:2], out),), targets=(peak(100),), output=out)]
    for count in (3, 4, 6):
        targets = (growth(5, "more for each further input", count - 2),)
        command = merge("soup", models[:count], out)
        rows.append(Row(f"memory, {count} x {inputs.gigabytes:g} GB", (command,), reference, targets, out))
    larger = inputs.gigabytes * _LARGE_FACTOR
    large = [inputs.folder / f"sparse-{variant}" / "large.st" for variant in (1, 2)]
    for path in large:
        path.parent.mkdir()
        write_sparse(path, one_layout(round(larger * 1e9 / 2 / 4096)), "BF16")
    same = (peak(100), growth(5, f"more than at {inputs.gigabytes:g} GB"))
    label = f"memory, 2 x {larger:g} GB, one sparse tensor, cold"
    rows.append(Row(label, (merge("soup", large, out),), reference, same, out, most_runs=1))
    return rows


CASES: dict[str, Callable[[Inputs], list[Row]]] = {
    case.__name__.replace("_", "-"): case
    for case in (
        soup,
        types,
        small_tensors,
        ties,
        methods,
        startup,
        planning,
        memory,
    )  # memory last: it fills the page cache
}
