"""Who merges files of one layout, or no diffusion models at all, does not pay for the table of names."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from command_line import environment
from diffusion_layouts import write_model

SCRIPT = """
import sys
from merge.cli import main
try:
    main(["soup", *sys.argv[1:], "-o", "out.st", "--dry-run"])
except SystemExit:
    pass
print("loaded", *(name for name in sys.modules if name.startswith("merge.diffusion.") or name in ("numpy", "torch")))
"""


@pytest.mark.parametrize(("style", "pays"), [("ldm", False), ("diffusers", True)])
def test_the_table_is_loaded_where_layouts_differ(here: Path, style: str, pays: bool) -> None:
    write_model(here / "a.st", "sd1", seed=1)
    other = write_model(here / "b.st" if style == "ldm" else here / "b", "sd1", style, seed=2)
    command = [sys.executable, "-c", SCRIPT, "a.st", other]
    found = subprocess.run(command, cwd=here, env=environment(), capture_output=True, text=True, check=True)
    loaded = found.stdout.splitlines()[-1].split()[1:]
    assert ("merge.diffusion.table" in loaded) == pays
    assert ("merge.diffusion.fitting" in loaded) == pays
    assert "torch" not in loaded
    assert "numpy" not in loaded
