"""What a merge into a wider network must know of two models together, computed into one file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..calibration.storing import AlreadyComputedError, Store
from ..checkpoints.expected import announce_again
from ..checkpoints.resolve import open_checkpoint
from ..planning.tensor_rules import is_buffer
from ..recipe import Alignment, Merge, Model, Recipe
from .grouping import Found, find_groups
from .joint_networks import Networks
from .options import calibration_options
from .places import located, location_of, statistics_folder

if TYPE_CHECKING:
    from ..alignment.matching import CheckpointReader
    from ..checkpoints.checkpoint import Source
    from ..partial.computing import Computed
    from ..partial.declared import JointCalibration
    from .computing import Computing


def learn_joint(recipe: Recipe, merge: Merge, computing: Computing, path: Path) -> Merge:
    """Return a merge whose two models both name a file with what is known of them together.

    Raises:
        UsageError: Nothing says how to run the models, the data does not fit them, or another file is in the way.
        MergeError: The models do not fit each other, or do not run.
    """
    computing.alone("units are matched and both models run")
    store = Store(path, force=computing.force, resume=computing.resume, reuse=True)
    try:
        with store:
            _learn(recipe, merge, computing, store)
    except AlreadyComputedError as error:
        computing.note(f"{error.what}: {path}")
    for note in store.notes:
        computing.note(note)
    models = tuple(replace(model, statistics={"joint": str(path)}, data=None) for model in merge.models)
    return replace(merge, models=models, calibration={})


def joint_file(recipe: Recipe) -> Path:
    """Return where the file goes, beside the recipe's output."""
    return statistics_folder(recipe) / "joint.safetensors"


def data_of(merge: Merge, recipe: Recipe) -> str:
    """Return what names the data of both models: one set, or both as a mixture."""
    given = [located(model.data, recipe.folder) for model in merge.models if model.data]
    return ",".join(dict.fromkeys(given))


def _learn(recipe: Recipe, merge: Merge, computing: Computing, store: Store) -> None:
    options: JointCalibration = calibration_options(merge)
    computing = replace(computing, input_shape=options.input_shape or computing.input_shape)
    with ExitStack() as stack:
        both = [stack.enter_context(_opened(model, recipe)) for model in merge.models]
        networks = Networks(both, options, data_of(merge, recipe), recipe.seed, computing)
        networks.build()  # whatever cannot be run is said before anything else is done
        readers = _sound(both[0]), _sound(both[1])
        first = Model(both[0].location)
        groups = str(located(options.groups, recipe.folder)) if options.groups else None
        wanted = Alignment(first, first, groups=groups, where=merge.where)
        found = find_groups(both[0], wanted, replace(recipe, folder=None), networks.computing)
        store.begin(_fingerprint(networks, found, options, recipe))
        computing.note(f"matching {both[0].location} and {both[1].location} on {networks.called}: {store.out}")
        computed = _computed(readers, networks, found, options)
        about = {**computed.facts.about, **networks.own_class}
        store.finish(computed.tensors, replace(computed.facts, about=about, data_use=networks.data_use))


def _sound(source: Source) -> CheckpointReader:
    """Return a reader of a model whose weights have all been read: NaN says nothing once it has been through a network.

    Raises:
        MergeError: A tensor cannot be read, or holds NaN or infinities.
    """
    from ..alignment.matching import CheckpointReader

    reader = CheckpointReader(source)
    for name, tensor in source.tensors.items():
        if not is_buffer(tensor):
            reader.read(name)
    return reader


def _computed(
    readers: tuple[CheckpointReader, CheckpointReader], networks: Networks, found: Found, options: JointCalibration
) -> Computed:
    from ..alignment.matching.products import products_on
    from ..partial.computing import compute_joint
    from ..partial.heads import choose_heads
    from ..partial.pairs import Matching

    plain = replace(options, groups="")  # a place on this machine
    settings, note = networks.computing.settings, networks.computing.note
    matching = Matching(networks.subjects, networks.sample, readers, found.groups, plain, settings, note)
    with products_on(settings.device):
        computed = compute_joint(matching, networks.run_wide, networks.identities)
    choose_heads(computed.joint(), readers[0].shapes, readers[1].shapes, "auto", readers[1].where)
    return computed


def _fingerprint(networks: Networks, found: Found, options: JointCalibration, recipe: Recipe) -> Mapping[str, Any]:
    """Return all that the statistics depend on."""
    from ..alignment.groups_document import groups_hash
    from ..provenance import TOOL

    settings = networks.computing.settings
    return {
        "kind": "joint",
        "models": networks.identities,
        "groups": groups_hash(found.groups),
        "data": dict(networks.sample.about),
        "options": asdict(replace(options, groups="")),
        "seed": recipe.seed,
        "batch size": settings.batch_size,
        "device": settings.device.partition(":")[0],
        "tool": TOOL,
    }


@contextmanager
def _opened(model: Model, recipe: Recipe) -> Iterator[Source]:
    source = open_checkpoint(location_of(model, recipe.folder))
    announce_again(source)
    try:
        yield source
    finally:
        source.close()
