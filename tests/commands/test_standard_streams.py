"""A process that was started without some of its standard streams."""

from __future__ import annotations

import os
import subprocess

import pytest
from checkpoint_files import random_state, save
from command_line import command, environment, run


@pytest.mark.skipif(os.name != "posix", reason="a POSIX shell closes the streams")
@pytest.mark.parametrize("closed", ["2>&-", "0<&- 1>&- 2>&-"])
@pytest.mark.parametrize("flags", [(), ("--workers", "2")])
def test_closed_streams(here, closed, flags):
    for seed, name in enumerate("ab"):
        save(here / f"{name}.st", random_state(seed))
    line = ["sh", "-c", f'exec "$@" {closed}', "sh", *command("soup", "a.st", "b.st", "-o", "out.st", *flags)]
    assert subprocess.run(line, cwd=here, env=environment(), check=False, timeout=120).returncode == 0
    assert run("soup", "a.st", "b.st", "-o", "whole.st", cwd=here).code == 0
    assert (here / "out.st").read_bytes() == (here / "whole.st").read_bytes()
