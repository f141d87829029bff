"""Files of permutations: whole, checked, and standing for themselves."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from planted import attention, groups_of, mlp, random_orders
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from merge.alignment.groups import Groups
from merge.alignment.groups_document import groups_hash
from merge.alignment.permutations_file import Permutations, read_permutations, write_permutations
from merge.errors import MergeError, UsageError


def written(tmp_path, groups, orders, **facts):
    path = tmp_path / "orders.safetensors"
    write_permutations(path, Permutations(groups, orders, **facts))
    return path


def changed(path, **metadata):
    """Write a file anew with other metadata."""
    with safe_open(path, "pt") as file:
        found = file.metadata() | metadata
    save_file(load_file(path), path, found)
    return path


def test_what_was_written_is_read(tmp_path):
    _, groups = attention()
    orders = random_orders(groups, 0)
    about = {"seeds": {"seed": 3}, "sweeps": 4, "groups": {"residual": {"fixed": 0.5, "cosine": None}}}
    found = read_permutations(written(tmp_path, groups, orders, reference="aa", moved="bb", about=about))
    assert all(
        (found.orders[name] == order).all() and found.orders[name].dtype == np.int64 for name, order in orders.items()
    )
    assert found.groups.groups == groups.groups
    assert (found.reference, found.moved, found.about) == ("aa", "bb", about)


def test_other_libraries_can_read_it(tmp_path):
    _, groups = mlp()
    orders = random_orders(groups, 0)
    path = written(tmp_path, groups, orders)
    found = load_file(path)
    assert {name: tensor.tolist() for name, tensor in found.items()} == {n: o.tolist() for n, o in orders.items()}
    assert all(tensor.dtype == torch.int64 for tensor in found.values())
    with safe_open(path, "pt") as file:
        assert file.metadata()["kind"] == "permutations"


def test_the_bytes_depend_on_the_content_alone(tmp_path):
    _, groups = attention()
    orders = random_orders(groups, 0)
    first = written(tmp_path, groups, orders).read_bytes()
    write_permutations(
        tmp_path / "orders.safetensors", Permutations(groups, dict(reversed(orders.items()))), force=True
    )
    assert (tmp_path / "orders.safetensors").read_bytes() == first


def test_the_hash_knows_what_matters():
    _, groups = attention()
    turned = groups_of(*(groups.groups[name] for name in ("residual", "heads", "heads.vo", "heads.qk")))
    explained = Groups(groups.groups, {"q:0": "pinned"}, "traced")
    assert groups_hash(turned) == groups_hash(explained) == groups_hash(groups)
    assert groups_hash(groups_of(groups.groups["residual"])) != groups_hash(groups)


def test_a_file_that_exists_is_replaced_only_with_force(tmp_path):
    _, groups = mlp()
    path = written(tmp_path, groups, random_orders(groups, 0))
    with pytest.raises(UsageError, match="--force"):
        written(tmp_path, groups, random_orders(groups, 1))
    write_permutations(path, Permutations(groups, {}), force=True)
    assert read_permutations(path).orders == {}
    assert list(tmp_path.iterdir()) == [path]


def test_an_input_is_never_overwritten(tmp_path):
    _, groups = mlp()
    path = written(tmp_path, groups, {})
    with pytest.raises(UsageError, match="one of the inputs"):
        write_permutations(path, Permutations(groups, {}), force=True, inputs=[path])
    with pytest.raises(UsageError, match="a folder stands there"):
        write_permutations(tmp_path, Permutations(groups, {}), force=True)


@pytest.mark.parametrize("entry", [[0, 0, 1], [0, 1, 99], [-1, 0, 1]])
def test_an_order_that_is_none_is_refused_with_its_group(tmp_path, entry):
    _, groups = mlp()
    orders = random_orders(groups, 0)
    orders["mlp.1"][:3] = entry
    with pytest.raises(MergeError, match=r"order of group 'mlp\.1' does not hold every unit once"):
        written(tmp_path, groups, orders)
    assert list(tmp_path.iterdir()) == []
    good = written(tmp_path, groups, random_orders(groups, 0))
    with safe_open(good, "pt") as file:
        metadata = file.metadata()
    save_file({name: torch.from_numpy(order) for name, order in orders.items()}, good, metadata)
    with pytest.raises(MergeError, match=r"orders\.safetensors: the order of group 'mlp\.1'"):
        read_permutations(good)


def test_orders_of_other_shapes_types_and_groups_are_refused(tmp_path):
    _, groups = mlp()
    path = written(tmp_path, groups, {})
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    for tensors, message in (
        ({"mlp.0": torch.arange(11)}, r"'mlp\.0' does not hold every unit once"),
        ({"mlp.0": torch.arange(12)[None]}, r"'mlp\.0' does not hold every unit once"),
        ({"mlp.0": torch.arange(12, dtype=torch.int32)}, r"'mlp\.0' is I32, not I64"),
        ({"other": torch.arange(12)}, "'other', which is not among its groups"),
    ):
        save_file(tensors, path, metadata)
        with pytest.raises(MergeError, match=message):
            read_permutations(path)


def test_files_without_permutations_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(MergeError, match="holds no permutations"):
        read_permutations(path)
    with pytest.raises(MergeError, match="no such file"):
        read_permutations(tmp_path / "absent.safetensors")


def _document(groups):
    from merge.alignment.groups_document import groups_document

    return groups_document(groups)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda document: document[0].pop("size"), "group 'residual' in the metadata is broken"),
        (lambda document: document[1].update(size="4"), "group 'heads' in the metadata is broken"),
        (lambda document: document[1]["members"][0].pop(), "group 'heads' in the metadata is broken"),
        (lambda document: document[1]["members"][0].__setitem__(3, 7), "group 'heads' in the metadata is broken"),
        (lambda document: document[1].update(members=3), "group 'heads' in the metadata is broken"),
        (lambda document: document.pop(1), "'heads.qk' is nested in 'heads', which is missing"),
        (lambda document: document.pop(3), "not those it was written with"),
        (lambda document: document.insert(0, 3), "group None in the metadata is broken"),
    ],
)
def test_damaged_groups_are_refused(tmp_path, damage, message):
    _, groups = attention()
    path = written(tmp_path, groups, {})
    document = _document(groups)
    damage(document)
    changed(path, groups=json.dumps(document))
    with pytest.raises(MergeError, match=message):
        read_permutations(path)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"groups": "{"}, "'groups' in the metadata is no JSON"),
        ({"groups": "{}"}, "its groups are no list"),
        ({"about": "no"}, "'about' in the metadata is no JSON"),
        ({"about": "[]"}, "'about' in the metadata is no JSON object"),
    ],
)
def test_damaged_metadata_are_refused(tmp_path, metadata, message):
    _, groups = attention()
    path = written(tmp_path, groups, {})
    changed(path, **metadata)
    with pytest.raises(MergeError, match=message):
        read_permutations(path)
