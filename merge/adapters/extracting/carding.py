"""The card of an extracted adapter: where it comes from, how to load it, how much of the difference it holds."""

from __future__ import annotations

from pathlib import Path

from ... import card
from ...checkpoints.address import OutputPath
from ...checkpoints.derived import whole
from ...checkpoints.remote.reference import hub_reference
from ...provenance import TOOL
from .cautions import warnings_of
from .describing import WORST, percent, table
from .difference import Difference
from .extracted import Extracted
from .making import base_name, has_new_tokens, recipe_of


def render_card(extracted: Extracted, difference: Difference, out: OutputPath, identity: str) -> str:
    """Return the card's Markdown.

    Args:
        extracted: The extraction's outcome.
        difference: The two models.
        out: Where the adapter goes.
        identity: Its content id.
    """
    base, tuned = (
        card.relative_location(source.location, difference.plan, out) for source in (difference.base, difference.tuned)
    )
    ids = extracted.measured.input_ids
    shown = out.name if isinstance(out, Path) else str(out)
    lines = ["---", *_front_matter(extracted, difference), "---", card.MARK, "", f"# {out.stem}", ""]
    lines += [f"What `{tuned}` has beyond `{base}`, as a LoRA."]
    lines += [f"Extracted by {TOOL}. `merge verify {shown}` repeats it and compares.", ""]
    lines += ["## Models", "", "| role | model | content id |", "|---|---|---|"]
    lines += [f"| base | `{base}` | `{ids[0]}` |", f"| tuned | `{tuned}` | `{ids[1]}` |"]
    lines += [f"| output | `{out.name}` | `{identity}` |", ""]
    lines += ["## Recipe", "", "```yaml", card.dump_yaml(recipe_of(extracted, tuned, base)).rstrip(), "```", ""]
    lines += ["## Loading", "", *_loading(extracted, difference, base, out), ""]
    lines += _energy(extracted)
    notes = warnings_of(extracted)
    return "\n".join([*lines, *card.note_lines(notes)])


def _front_matter(extracted: Extracted, difference: Difference) -> list[str]:
    found = hub_reference(str(getattr(whole(difference.base), "origin", None) or ""))
    lines = [f"base_model: {found.repository}", "base_model_relation: adapter"] if found else []
    library = "peft" if extracted.holds_whole else "diffusers"
    licences = card.licence_lines([difference.base, difference.tuned])
    return [*lines, "tags:", "- merge", "- lora", f"library_name: {library}", *licences]


def _loading(extracted: Extracted, difference: Difference, base: str, out: OutputPath) -> list[str]:
    if not extracted.holds_whole:
        command = f"merge passthrough {base}+{out.name} -o baked.safetensors"
        return ["Put it among the LoRA files of your program, or bake it:", "", "```sh", command, "```"]
    return ["```python", *_by_peft(extracted, difference), "```"]


def _by_peft(extracted: Extracted, difference: Difference) -> list[str]:
    architecture = next(iter(difference.base.config.get("architectures") or ()), None)
    lines = ["from peft import PeftModel"]
    if architecture is not None:
        name = base_name(difference.base)
        lines += [f"from transformers import {architecture}", ""]
        lines += [f'base = {architecture}.from_pretrained("{name}")']
    if has_new_tokens(extracted, difference):
        rows = max(tensor.shape[0] for tensor in extracted.whole.tensors.values())
        lines += [f"base.resize_token_embeddings({rows})  # tokens were added"]
    return [*lines, 'model = PeftModel.from_pretrained(base, "path/to/this/folder").merge_and_unload()']


def _energy(extracted: Extracted) -> list[str]:
    """Return tables of the energy kept: by kind of layer, and of the layers that lost most."""
    if not extracted.layers or extracted.energy is None:
        return []
    heading, *rows = table(extracted.layers)
    lines = ["## Energy kept", "", "The share of the sum of squares of the difference that the factors hold:"]
    lines += [f"{percent(extracted.energy)} of all layers together.", ""]
    lines += [f"| {' | '.join(heading)} |", f"|{'---|' * len(heading)}", *(f"| {' | '.join(row)} |" for row in rows)]
    worst = sorted(extracted.layers, key=lambda layer: layer.kept.energy)[:WORST]
    lines += ["", f"The {len(worst)} lowest:" if len(worst) > 1 else "The lowest:", ""]
    lines += ["| layer | rank | energy kept | norm of the difference |", "|---|---|---|---|"]
    for layer in worst:
        kept = layer.kept
        lines.append(f"| `{layer.module.name}` | {kept.rank} | {percent(kept.energy)} | {kept.norm:.4g} |")
    return [*lines, ""]
