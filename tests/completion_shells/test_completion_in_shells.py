"""The printed scripts in the shells themselves; shells that are not installed are skipped."""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import sys
import time

import pytest
from command_line import environment

pty = pytest.importorskip("pty")  # terminals as Unix has them
_START = "#!{python}\nimport sys\nfrom merge.cli import main\nsys.exit(main())\n"
_ZSH = r"""
PS1=; PS2=; RPS1=; unsetopt zle_bracketed_paste prompt_cr prompt_sp; autoload -Uz compinit; compinit -u -D
eval "$(merge --show-completion zsh)"
show() { print -r -- "<<$BUFFER>>"; BUFFER=; zle -I }; zle -N show; bindkey '^X' show
print -r -- REA""DY
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return an environment with both programs in its path, and an empty home."""
    home = tmp_path_factory.mktemp("home")
    for name in ("merge", "merge-checkpoints"):
        (home / name).write_text(_START.format(python=sys.executable))
        (home / name).chmod(0o755)
    (home / "recipe-one.yaml").touch()
    found = environment(HOME=str(home), TERM="dumb", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    return found | {"PATH": f"{home}{os.pathsep}{found['PATH']}", "XDG_CONFIG_HOME": str(home)}


def told(place, *command):
    """Return what a shell prints, line by line."""
    found = subprocess.run(
        command, cwd=place["HOME"], env=place, capture_output=True, text=True, check=True, timeout=300
    )
    assert found.stderr == ""
    return found.stdout.splitlines()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("program", "words", "wanted"),
    [
        ("merge", ["so"], ["soup"]),
        ("merge", ["ties", "--den"], ["--density"]),
        ("merge", ["new", "ti"], ["ties"]),
        ("merge", ["run", "rec"], []),
        ("merge-checkpoints", ["so"], ["soup"]),
    ],
)
def test_bash(place, program, words, wanted):
    script = f"""
    source <({program} --show-completion bash)
    read -r _ _ _ _ function _ <<< "$(complete -p {program} | sed 's/ -o default//; s/complete/complete - -/')"
    COMP_WORDS=({program} {" ".join(words)}); COMP_CWORD={len(words)}
    $function {program}
    printf '%s\\n' "${{COMPREPLY[@]}}"
    complete -p {program}
    """
    *found, registered = told(place, "bash", "--norc", "-c", script)
    assert [line for line in found if line] == wanted
    assert "-o default" in registered  # files, where nothing is offered


@pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish")
@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("merge so", ["soup"]),
        ("merge ties --trim-s", ["--trim-scope"]),
        ("merge eval --benchmark digits-t", ["digits-train"]),
        ("merge run rec", ["recipe-one.yaml"]),
        ("merge-checkpoints so", ["soup"]),
    ],
)
def test_fish(place, line, wanted):
    program = line.split()[0]
    script = f"{program} --show-completion fish | source; complete -C '{line}'"
    assert [text.partition("\t")[0] for text in told(place, "fish", "--no-config", "-c", script)] == wanted


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh")
def test_zsh(place):
    """Keys are pressed at a terminal, since zsh completes nowhere else; Ctrl-X shows the line as it is then."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(place["HOME"])
        os.execvpe("zsh", ["zsh", "-f", "-i"], place)
    try:
        os.write(terminal, _ZSH.replace("\n", ";").strip(";").encode() + b"\n")
        _until(terminal, b"READY")
        for typed, wanted in (("so", "soup"), ("ties --trim-s", "ties --trim-scope"), ("new tie", "new ties")):
            os.write(terminal, f"merge {typed}\t\x18".encode())
            assert _until(terminal, b">>").rpartition("<<")[2].strip(">").rstrip() == f"merge {wanted}"
        os.write(terminal, b"merge run rec\t\x18")
        assert "<<merge run recipe-one.yaml" in _until(terminal, b">>")
    finally:
        os.kill(child, signal.SIGKILL)
        os.close(terminal)
        os.waitpid(child, 0)


def _until(terminal, mark):
    """Read what the terminal shows up to a mark."""
    shown, end = b"", time.monotonic() + 300
    while mark not in shown:
        assert time.monotonic() < end, shown
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 65536)
    return shown.decode(errors="replace").partition(mark.decode())[0] + mark.decode()
