"""Targets: what the tool itself wrote and reads again: bundles, cards, provenance, journals, scores, rates, locks."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from fuzz_forms import BYTES, CARD, HEADER, JSON, metadata
from fuzz_target import Target, run, state, three, write


def _bundle(folder: Path) -> None:
    three(folder)
    run("moe", "a.st", "b.st", "-o", "out")


def _copied(folder: Path) -> None:
    three(folder)
    write(folder / "b.st", state(1) | {"embed.weight": state(2)["embed.weight"]})
    run("moe", "a.st", "b.st", "--copy", "-o", "out")


def _read_bundle(folder: Path) -> None:
    from merge.bundles.bundle import open_bundle
    from merge.bundles.describing import describe_bundle, render_description

    open_bundle("out").state_dicts()
    render_description(describe_bundle("out"))


def _merged(folder: Path) -> None:
    three(folder)
    run("ties", "a.st", "b.st", "--base", "base.st", "-o", "out.st")


def _cast(folder: Path) -> None:
    three(folder)
    run("cast", "a.st", "--dtype", "bf16", "-o", "out.st")


def _extracted(folder: Path) -> None:
    import torch

    write(folder / "base.st", {"layers.0.w.weight": torch.ones(4, 4)})
    write(folder / "a.st", {"layers.0.w.weight": torch.eye(4)})
    run("extract-lora", "a.st", "--base", "base.st", "--rank", "2", "-o", "out")


def _joined(folder: Path) -> None:
    _extracted(folder)
    run("adapters", "out", "out", "-o", "both")


def _verify(name: str, folder: Path) -> None:
    from merge.engine import RunSettings
    from merge.verify import verify

    verify(name, RunSettings("cpu", 1))


def _read_finished(folder: Path) -> None:
    from merge.pushing.finished import read_finished

    read_finished("out.st")


def _stopped(folder: Path) -> None:
    """Leave a merge as one that was killed before the end leaves it."""
    import shutil

    from merge.checkpoints.staging import Staging

    three(folder)
    kept = folder / "kept"
    before = Staging.commit
    try:
        Staging.commit = _keep(kept, before)  # type: ignore[method-assign]
        run("ties", "a.st", "b.st", "--base", "base.st", "-o", "out.st")
    finally:
        Staging.commit = before  # type: ignore[method-assign]
    for name in ("out.st", "out.st.md"):
        (folder / name).unlink()
    shutil.move(kept, folder / ".out.st.merging")


def _keep(kept: Path, commit: Any) -> Any:
    def keep(staging: Any, **settings: Any) -> None:
        import shutil

        shutil.copytree(staging.journal.parent, kept)
        commit(staging, **settings)

    return keep


def _resume(folder: Path) -> None:
    """Go on with a copy of the merge, and leave the folder as it was."""
    import shutil
    import tempfile

    from merge.engine import RunSettings
    from merge.execute import WriteSettings
    from merge.execute import write as write_output
    from merge.grammar import parse_recipe
    from merge.plan import make_plan

    with tempfile.TemporaryDirectory(dir=folder.parent) as copy:
        shutil.copytree(folder / ".out.st.merging", Path(copy) / ".out.st.merging")
        text = f"merge: ties\nbase: base.st\nmodels: [a.st, b.st]\noutput: {json.dumps(str(Path(copy) / 'out.st'))}\n"
        plan = make_plan(parse_recipe(text, "recipe.yaml", folder))
        try:
            write_output(plan, WriteSettings(sync=False, run=RunSettings("cpu", 1), resume=True))
        finally:
            plan.close()


_check = ("verify", "out.st")
OUTPUTS = (
    Target("bundle", "out/merge.json", JSON, _bundle, _read_bundle, ("inspect", "out")),
    Target("bundle-of-copies", "out/merge.json", JSON, _copied, _read_bundle, ("verify", "out")),
    Target("card", "out.st.md", CARD, _merged, partial(_verify, "out.st"), _check),
    Target("card-of-cast", "out.st.md", CARD, _cast, partial(_verify, "out.st"), _check),
    Target("card-of-adapter", "out/README.md", CARD, _extracted, partial(_verify, "out"), ("verify", "out")),
    Target("card-of-adapters", "both/README.md", CARD, _joined, partial(_verify, "both"), ("verify", "both")),
    Target("card-to-push", "out.st.md", BYTES, _merged, _read_finished),
    Target("provenance", "out.st", HEADER, _merged, partial(_verify, "out.st"), _check),
    Target("recorded-inputs", "out.st", metadata("merge.inputs"), _merged, partial(_verify, "out.st"), _check),
    Target("recorded-recipe", "out.st", metadata("merge.recipe"), _merged, partial(_verify, "out.st"), _check),
    Target("journal", ".out.st.merging/journal", BYTES, _stopped, _resume),
)
