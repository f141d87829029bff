"""What a shell would be offered: the protocol that the printed scripts speak, for each shell."""

from __future__ import annotations

import re

SHELLS = ("bash", "zsh", "fish")


def variables(shell: str, line: str, program: str = "merge") -> dict[str, str]:
    """Return the environment in which a shell's script runs the program; the cursor stands at the line's end."""
    asked = {f"_{program.replace('-', '_').upper()}_COMPLETE": f"complete_{shell}"}
    if shell == "bash":
        return asked | {"COMP_WORDS": line.replace(" ", "\n"), "COMP_CWORD": str(line.count(" "))}
    return asked | {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}


def candidates(shell: str, answer: str) -> list[str]:
    """Return the candidates in an answer, without their descriptions; none where the shell completes files."""
    if shell == "zsh":
        assert answer.startswith(("_arguments '*: :((", "_files"))
        return re.findall(r'^(?:_arguments \'\*: :\(\()?"([^"]+)"', answer, re.MULTILINE)
    return [line.partition("\t")[0] for line in answer.splitlines() if line]
