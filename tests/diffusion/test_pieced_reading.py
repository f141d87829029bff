"""Any range of bytes of a tensor that is put together from parts is that of the whole."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from checkpoint_files import save

from merge.checkpoints.pieced import Part, Pieced, PiecedSource
from merge.checkpoints.resolve import open_checkpoint

TYPES = [torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn]


@pytest.mark.parametrize("dtype", TYPES)
def test_ranges_of_rows_of_joined_and_of_transposed_tensors(tmp_path: Path, dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(1)
    state = {name: torch.randn(6, 5, generator=generator).to(dtype) for name in "abc"}
    source = open_checkpoint(str(save(tmp_path / "x.st", state)))
    infos = source.tensors
    cut = (Part(infos["b"], (1, 3)), Part(infos["a"], (4, 6)), Part(infos["c"], (0, 6)))
    pieced = {
        "joined": Pieced(cut, (10, 5)),
        "rows": Pieced((Part(infos["a"], (2, 5)),), (3, 5)),
        "turned": Pieced((Part(infos["b"], (0, 6), transposed=True),), (5, 6)),
    }
    wanted = {
        "joined": torch.cat([state["b"][1:3].float(), state["a"][4:6].float(), state["c"].float()]).to(dtype),
        "rows": state["a"][2:5],
        "turned": state["b"].T.contiguous(),
        "d": state["c"],
    }
    made = PiecedSource(source, {"d": infos["c"]}, pieced, "made")
    assert {name: info.shape for name, info in made.tensors.items()} == {n: tuple(t.shape) for n, t in wanted.items()}
    draws = random.Random(3)
    for name, tensor in wanted.items():
        whole = tensor.contiguous().view(torch.uint8).numpy().tobytes()
        info = made.tensors[name]
        assert info.nbytes == len(whole)
        for _ in range(50):
            begin = draws.randrange(len(whole))
            stop = draws.randint(begin, len(whole))
            buffer = np.empty(stop - begin, np.uint8)
            made.read_into(info, begin, buffer.data)
            assert buffer.tobytes() == whole[begin:stop], name
    source.close()


def test_another_way_to_put_together_is_another_file(tmp_path: Path) -> None:
    source = open_checkpoint(str(save(tmp_path / "x.st", {"a": torch.ones(4, 4)})))
    info = source.tensors["a"]
    marks = [
        PiecedSource(source, {}, {"x": Pieced((Part(info, rows, turned),), (4, 4))}, "made").identities[-1]
        for rows, turned in (((0, 4), True), ((0, 4), False), ((0, 2), False))
    ]
    assert len(set(marks)) == 3
    source.close()
