"""A folder of components on a hub goes with a single file here, whatever has to be put together."""

from __future__ import annotations

import subprocess
from pathlib import Path

import torch
from checkpoint_files import load
from command_line import command, environment
from diffusion_layouts import write_model
from fake_hub import FakeHub, Repository, files_in


def test_a_folder_on_the_hub(here: Path) -> None:
    first = write_model(here / "first.st", "sdxl", seed=1)
    folder = write_model(here / "folder", "sdxl", "diffusers", seed=2)
    with FakeHub({"org/pipeline": Repository({"main": files_in(folder)})}) as hub:
        variables = environment(**hub.environment(here / "home"))
        for model, name in ((str(folder), "one.st"), ("org/pipeline", "two.st")):
            arguments = command("soup", first, model, "-o", name, "--weights", "0.3,0.7")
            found = subprocess.run(
                arguments, cwd=here, env=variables, capture_output=True, text=True, check=False, timeout=120
            )
            assert found.returncode == 0, found.stderr
    one, two = load(here / "one.st"), load(here / "two.st")
    assert one.keys() == two.keys()
    assert all(torch.equal(one[name], tensor) for name, tensor in two.items())
