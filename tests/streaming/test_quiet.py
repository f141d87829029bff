"""Numbers beyond a type's range are refused in one line, without numpy's own warnings before it."""

from __future__ import annotations

import pytest
import torch
from checkpoint_files import save
from command_line import run

OVERFLOWS = {
    "nearswap": (["a.st", "--base", "base.st", "--t", "1e39"], 0),
    "dare": (["a.st", "b.st", "--base", "base.st", "--density", "1e-300"], None),
    "soup": (["a.st", "b.st", "--weights", "1e308,1e308"], 1),
    "task-arithmetic": (["a.st", "b.st", "--base", "base.st", "--weights", "1e308,1e308"], 1),
    "ties": (["a.st", "b.st", "--base", "base.st", "--weights", "1e308,1e308"], 1),
}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("method", OVERFLOWS)
def test_nothing_but_our_own_line(here, method, dtype):
    generator = torch.Generator().manual_seed(0)
    for name in ("a", "b", "base"):
        large = 1.0 if method in ("nearswap", "dare") else 1e3
        save(here / f"{name}.st", {"w": (torch.randn(1000, generator=generator) * large).to(dtype)})
    arguments, code = OVERFLOWS[method]
    result = run(method, *arguments, "-o", "out.st", "--quiet", cwd=here)
    assert code in (None, result.code)  # a factor of 1e300 is too large for the sums of 16-bit types alone
    assert result.err.count("\n") == result.code
    assert ("is beyond the largest" in result.err) == bool(result.code)
    assert (here / "out.st").exists() is not bool(result.code)


def test_weights_that_sum_to_infinity_are_no_divisor(cli, here, pair):
    result = cli("soup", *pair, "--weights", "1e308,1e308", "--normalize", "-o", "out.st")
    assert result.code == 2
    assert "sum to infinity" in result.err
