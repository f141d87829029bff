"""Which locations are elsewhere, and what they mean there."""

from __future__ import annotations

import pytest

from merge.checkpoints.remote.reference import HubReference, hub_page, hub_reference, is_remote
from merge.checkpoints.resolve import with_adapter

HUB = "https://hub.example"


@pytest.mark.parametrize(
    ("location", "meaning"),
    [
        ("org/name", HubReference("org/name", None)),
        ("org/name-7.5_b@v1.0", HubReference("org/name-7.5_b", "v1.0")),
        ("org/name@refs/pr/1", HubReference("org/name", "refs/pr/1")),
        ("hf:org/name@main", HubReference("org/name", "main")),
        ("hub:gpt2", HubReference("gpt2", None)),
        ("hf://org/name", HubReference("org/name", None)),
        (
            "hf://org/name@refs%2Fpr%2F1/deep/file.safetensors",
            HubReference("org/name", "refs/pr/1", "deep/file.safetensors"),
        ),
        ("name", None),
        ("./org/name", None),
        ("/org/name", None),
        ("~/name", None),
        ("../name", None),
        ("org/name/more", None),
        ("org/name.safetensors", None),
        ("org/name.st", None),
        ("org/pytorch_model.bin", None),
        ("org/", None),
        ("", None),
    ],
)
def test_ids_of_the_hub(location, meaning):
    assert hub_reference(location) == meaning
    assert is_remote(location) is (meaning is not None)


@pytest.mark.parametrize(
    ("address", "meaning"),
    [
        (f"{HUB}/org/name", HubReference("org/name", None)),
        (f"{HUB}/org/name/", HubReference("org/name", None)),
        (f"{HUB}/org/name/tree/v2", HubReference("org/name", "v2")),
        (f"{HUB}/org/name/blob/main/a/b.safetensors", HubReference("org/name", "main", "a/b.safetensors")),
        (f"{HUB}/org/name/resolve/main/b.safetensors?download=true", HubReference("org/name", "main", "b.safetensors")),
        (f"{HUB}/files/b.safetensors", None),
        (f"{HUB}/org/name/discussions/1", None),
        ("https://elsewhere.example/org/name", None),
    ],
)
def test_pages_of_the_hub(address, meaning):
    assert hub_page(address, HUB) == meaning


@pytest.mark.parametrize(
    ("location", "halves"),
    [
        ("org/a+org/b", ("org/a", "org/b", "")),
        ("org/a+org/b=0.8", ("org/a", "org/b", "=0.8")),
        ("org/a+org/b=0.8:0.4", ("org/a", "org/b", "=0.8:0.4")),
        ("org/a+org/b=-.5+org/c@v1=1e-1", ("org/a+org/b=-.5", "org/c@v1", "=1e-1")),
        ("org/a+https://host/b.safetensors=2", ("org/a", "https://host/b.safetensors", "=2")),
        ("org/a+https://host/b?key=2", ("org/a", "https://host/b?key=2", "")),
        ("org/a@v1+org/b@v2", ("org/a@v1", "org/b@v2", "")),
        ("org/a+org/b+org/c", ("org/a+org/b", "org/c", "")),
        ("s3://bucket/a+s3://bucket/b", ("s3://bucket/a", "s3://bucket/b", "")),
        ("s3://bucket/a+hf:org/b", ("s3://bucket/a", "hf:org/b", "")),
        ("s3://bucket/a+b/c", None),
        ("https://host/a+b.safetensors", None),
        ("git+https://host/a", None),
        ("org/a", None),
    ],
)
def test_adapters_and_addresses_with_a_plus(location, halves):
    assert with_adapter(location) == halves
