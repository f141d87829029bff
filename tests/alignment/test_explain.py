"""What is printed of groups."""

from __future__ import annotations

import json

from merge.alignment.derive import derive_groups
from merge.alignment.explain import explain, explanation_text
from merge.alignment.verify import verify_groups
from tests.alignment.architectures import llama, perceptron, places, timm_model


def explained(made, *, proven=False):
    module, inputs = made
    here = places(module)
    groups = derive_groups(module, here, inputs)
    proof = verify_groups(module, here, groups, inputs) if proven else None
    return explain(groups, {name: tuple(tensor.shape) for name, tensor in here.items()}, proof)


def test_a_perceptron_in_full():
    found = explained(perceptron())
    assert explanation_text(found).splitlines() == [
        "group  kind  units  members  within",
        "mlp.0  mlp   12     3",
        "mlp.1  mlp   12     3",
        "",
        "2 groups (traced) reach 99.01 % of the parameters; not in any: 4.bias",
        "stay as they are (the model's outputs): 4.weight:0, 4.bias:0",
        "stay as they are (the model's inputs): 0.weight:1",
    ]


def test_plain_data_survive_json():
    found = explained(llama(), proven=True)
    assert json.loads(json.dumps(found)) == found
    heads = next(group for group in found["groups"] if group["name"] == "heads.0.vo")
    assert heads["parent"] == "heads.0"
    assert heads["kind"] == "within-heads"
    assert found["coverage_percent"] == 100
    assert found["proof"] is not None
    assert found["proof"]["trials"] == 10
    assert 0 <= found["proof"]["largest_difference"] <= 1e-5


def test_a_proof_is_the_last_line():
    text = explanation_text(explained(perceptron(), proven=True))
    assert text.splitlines()[-1].startswith("proven: the outputs changed by ")
    assert text.endswith("at most in 3 trials (float32)")


def test_reasons_stand_once_with_some_of_their_axes_and_pieces_say_where_they_begin():
    found = explained(timm_model("densenet121", block_config=(2, 2), growth_rate=8, bn_size=2))
    lines = explanation_text(found).splitlines()
    kernel = [line for line in lines if "(the places of a convolution's kernel): " in line]
    assert len(kernel) == 1
    assert " and " in kernel[0]
    members = {member for group in found["groups"] for member in group["members"]}
    assert "features.denseblock1.denselayer2.norm1.weight:0@0[16]/0" in members
    follows = next(group for group in found["groups"] if group["follows"])["follows"]
    assert all("running_" in member for member in follows)
