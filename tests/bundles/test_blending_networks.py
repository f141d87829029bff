"""A network run as the interpolation of two gives what one with interpolated weights gives, sample by sample."""

import numpy as np
import pytest
import torch

from merge.bundles.blending import Blending
from tests.bundles.blending_library_networks import cases
from tests.bundles.blending_networks import SAMPLES, assert_same, pair, runner, truth

CASES = {name: (case, strategy) for name, case, strategy in cases()}
WEIGHTS = torch.tensor([0.9, 0.1, 0.5, 0.0, 1.0])


@pytest.mark.parametrize("name", CASES)
def test_every_sample_goes_through_weights_of_its_own(name):
    case, strategy = CASES[name]
    first, second = pair(case)
    wanted = truth(case, first, second, WEIGHTS)
    assert not torch.allclose(wanted, truth(case, first, second, WEIGHTS.flip(0)), atol=1e-2)  # weights matter
    blending = Blending(first, second, where=name)
    assert blending.strategy is None
    with torch.inference_mode():
        found = blending.run(runner(case, first), WEIGHTS)
    assert blending.strategy == strategy
    assert_same(found, wanted)


@pytest.mark.parametrize("name", CASES)
def test_all_samples_go_through_the_same_weights(name):
    case, _ = CASES[name]
    first, second = pair(case)
    everything = np.arange(SAMPLES)
    blending = Blending(first, second, where=name)
    wanted = truth(case, first, second, torch.full((SAMPLES,), 0.3))
    with torch.inference_mode():
        with blending.uniform(0.3):
            assert_same(case.logits(first, everything), wanted)
        for weight, member in ((1, first), (0, second)):
            own = case.logits(member, everything)
            with blending.uniform(weight):
                assert_same(case.logits(first, everything), own)
