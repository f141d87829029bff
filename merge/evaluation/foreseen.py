"""What an evaluation of an output will say, told before the output is made."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import UsageError
from .specification import read_benchmarks


def check_benchmarks(specs: Sequence[str], name: str, *, is_stated: bool) -> None:
    """Refuse benchmarks that cannot be read, or that leave open what architecture the output has.

    Args:
        specs: YAML files, or names of bundled ones.
        name: What messages call the output.
        is_stated: ``--model`` says its architecture, or a configuration beside its weights will.

    Raises:
        UsageError: Something in a file is wrong, or nothing names the architecture.
    """
    for benchmark in read_benchmarks(specs):
        if not is_stated and getattr(benchmark, "model", benchmark) is None:
            what = f"no config.json will lie beside the weights of {name}"
            hint = "name its architecture: --model, or 'model:' in the benchmark"
            raise UsageError(what, where=benchmark.where, hint=hint)
