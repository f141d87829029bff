"""Files of groups: what they mean for a checkpoint, what is wrong with them and where, and that they can be written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from merge.alignment.groups import Group, Groups, Member
from merge.alignment.groups_file import parse_groups, read_groups, render_groups, write_groups
from merge.errors import UsageError

VIT: dict[str, tuple[int, ...]] = {"embed.weight": (48, 3, 2, 2), "embed.bias": (48,), "head.weight": (10, 48)}
for number in range(12):
    VIT |= {
        f"blocks.{number}.norm.weight": (48,),
        f"blocks.{number}.attn.qkv.weight": (144, 48),
        f"blocks.{number}.attn.qkv.bias": (144,),
        f"blocks.{number}.attn.proj.weight": (48, 48),
        f"blocks.{number}.mlp.fc1.weight": (96, 48),
        f"blocks.{number}.mlp.fc1.bias": (96,),
        f"blocks.{number}.mlp.fc2.weight": (48, 96),
    }

FILE = """\
groups:
  residual:
    members:
      - embed.weight:0
      - embed.bias:0
      - "blocks.*.norm.weight:0"
      - "blocks.*.attn.qkv.weight:1"
      - "blocks.*.attn.proj.weight:0"
      - "blocks.*.mlp.fc1.weight:1"
      - "blocks.*.mlp.fc2.weight:0"
      - head.weight:1
  heads.{i}:
    size: 4
    members:
      - "blocks.{i}.attn.qkv.weight:0[3,4,12]/1"
      - "blocks.{i}.attn.qkv.bias:0[3,4,*]/1"
      - "blocks.{i}.attn.proj.weight:1[4,12]/0"
  within.{i}:
    kind: within-heads
    parent: heads.{i}
    members:
      - "blocks.{i}.attn.qkv.weight:0[3,4,12]/2"
      - "blocks.{i}.attn.qkv.bias:0[3,4,12]/2"
      - "blocks.{i}.attn.proj.weight:1[4,12]/1"
  mlp.{i}: {members: ["blocks.{i}.mlp.fc1.weight:0", "blocks.{i}.mlp.fc2.weight:1"],
            follows: ["blocks.{i}.mlp.fc1.bias:0"]}
"""


def test_what_a_file_means() -> None:
    groups = parse_groups(FILE, VIT, "vit.yaml").groups
    assert len(groups) == 1 + 3 * 12
    assert groups["residual"].size == 48
    assert len(groups["residual"].members) == 2 + 5 * 12 + 1
    heads, within, mlp = groups["heads.11"], groups["within.11"], groups["mlp.11"]
    assert heads == Group(
        "heads.11",
        4,
        (
            Member("blocks.11.attn.qkv.weight", 0, (3, 4, 12), 1),
            Member("blocks.11.attn.qkv.bias", 0, (3, 4, 12), 1),
            Member("blocks.11.attn.proj.weight", 1, (4, 12), 0),
        ),
        "heads",
    )
    assert (within.size, within.kind, within.parent) == (12, "within-heads", "heads.11")
    bias = Member("blocks.11.mlp.fc1.bias", 0, (96,))
    assert (mlp.kind, mlp.only_follows, mlp.members[-1]) == ("mlp", frozenset([bias]), bias)


def test_parents_come_first_however_the_file_has_them() -> None:
    text = """\
groups:
  inner: {parent: outer, members: ["head.weight:1[4,12]/1"]}
  outer: {members: ["head.weight:1[4,12]/0"]}
"""
    assert list(parse_groups(text, VIT, "g.yaml").groups) == ["outer", "inner"]


def test_optional_members_and_pieces_of_an_axis() -> None:
    text = """\
groups:
  one: {members: ["head.weight:1@8[*]/0", "nowhere.weight:0?"]}
  two: {members: ["head.weight:1@0[2,4]/1"]}
  none.{i}: {members: ["nothing.{i}.weight:0?"]}
  nothing: {members: ["nothing.*.weight:0?"]}
"""
    assert parse_groups(text, VIT, "g.yaml").groups == {
        "one": Group("one", 40, (Member("head.weight", 1, (40,), 0, 8),)),
        "two": Group("two", 4, (Member("head.weight", 1, (2, 4), 1),)),
    }


def test_a_tensor_name_may_hold_a_colon() -> None:
    groups = parse_groups('groups: {a: {members: ["x:0.weight:1"]}}', {"x:0.weight": (2, 3)}, "g.yaml")
    assert groups.groups["a"].members == (Member("x:0.weight", 1, (3,)),)


WRONG: list[tuple[str, str, str]] = [
    # what is replaced, by what, the complaint
    ("blocks.*.attn.qkv.weight:1", "blocks.*.atn.qkv.weight:1", "vit.yaml:7:9: .*no such tensor.*did you mean 'blocks"),
    ("embed.bias:0", "embed.bias:1", r"vit.yaml:5:9: .*'embed.bias' has the shape \[48\], and so no axis 1"),
    ("head.weight:1", "head.weight:0", "vit.yaml:11:9: .*head.weight:0 has 10 units, and the group 48"),
    ("qkv.weight:0[3,4,12]/1", "qkv.weight:0[3,4,13]/1", "vit.yaml:15:9: .*has 144 entries, not 3 x 4 x 13"),
    ("qkv.weight:0[3,4,12]/1", "qkv.weight:0[4,12]/0", "begins, as in NAME:AXIS@0"),
    ("qkv.bias:0[3,4,*]/1", "qkv.bias:0[3,5,*]/1", "vit.yaml:16:9: .*cannot be cut into 15"),
    ("qkv.bias:0[3,4,*]/1", "qkv.bias:0[*,4,*]/1", "is no list of sizes"),
    ("qkv.bias:0[3,4,*]/1", "qkv.bias:0[3,-4,12]/1", "is no list of sizes"),
    ("qkv.bias:0[3,4,*]/1", "qkv.bias:0[3,4,12]/3", "there is no size 3"),
    ("qkv.bias:0[3,4,*]/1", "qkv.bias:0[3,4,12]", "does not say which size"),
    ("qkv.bias:0[3,4,*]/1", "qkv.bias:0[3,0,12]/1", "a size of 0"),
    ("qkv.bias:0[3,4,*]/1", "qkv.bias:0@100[4,12]/0", "vit.yaml:16:9: .*ends at 144, before 148"),
    ("qkv.bias:0[3,4,*]/1", "qkv.bias:0@3", "a piece needs its sizes"),
    ("qkv.bias:0[3,4,*]/1", "qkv.bias:0[9223372036854775807,4]/1", "vit.yaml:16:9: .*too large for any tensor"),
    ("qkv.bias:0[3,4,*]/1", "qkv.bias:99999999999999999999999", "too large a number"),
    ("qkv.bias:0[3,4,*]/1", "qkv.bias:9223372036854775807", "no axis 9223372036854775807"),
    ("qkv.bias:0[3,4,*]/1", "qkv.bias:0@9223372036854775807[4,12]/0", "ends at 144"),
    ('"blocks.{i}.attn.qkv.bias:0[3,4,*]/1"', "17", "vit.yaml:16:9: 17 is no member of a group"),
    ('"blocks.{i}.attn.qkv.bias:0[3,4,*]/1"', "embed.bias", "vit.yaml:16:9: 'embed.bias' is no member"),
    ("blocks.{i}.attn.qkv.bias:0", "blocks.{j}.attn.qkv.bias:0", r"\{j\} is not in the name of the group"),
    ("size: 4", "size: 5", "has 4 units, and the group 5"),
    ("size: 4", "size: four", "vit.yaml:13:5: 'size' must be a whole number from 1, not 'four'"),
    ("size: 4", "size: true", "must be a whole number"),
    ("size: 4", "size: 4.0", "must be a whole number"),
    ("size: 4", "size: 0", "must be a whole number"),
    ("size: 4", "size: 1" + "0" * 400, "must be a whole number"),
    ("size: 4", "sice: 4", "unknown key 'sice' .did you mean 'size'"),
    ("kind: within-heads", "kind: withinheads", "vit.yaml:19:5: unknown kind.*did you mean 'within-heads'"),
    ("kind: within-heads", "kind: [a]", "'kind' must be a text"),
    ("parent: heads.{i}", "parent: head.{i}", "vit.yaml:18:3: .*which is no group .did you mean 'heads.{i}'"),
    ("parent: heads.{i}", "parent: heads.{j}", "vit.yaml:20:5: {j} of the parent"),
    ("parent: heads.{i}", "parent: mlp.{i}", "does not lie within units of 'mlp.0'"),
    ("parent: heads.{i}", "parent: within.{i}", "which is nested in"),
    ("attn.proj.weight:1[4,12]/1", "attn.proj.weight:0[4,12]/1", "does not lie within units of 'heads.0'"),
    ("attn.proj.weight:1[4,12]/1", "attn.proj.weight:1[2,2,12]/2", "does not lie within units of 'heads.0'"),
    ("mlp.fc2.weight:1", "attn.qkv.weight:0", "has 144 units, and the group 96"),
    ("head.weight:1", "embed.bias:0", "vit.yaml:11:9: 'residual' has embed.bias:0 twice"),
    ("groups:\n", "groups:\n  more: {members: [head.weight:1]}\n", "moves what head.weight:1 of 'more' moves"),
    ("groups:\n", 'groups:\n  more: {members: ["head.weight:1@4[4,2]/0"]}\n', r"overlaps with head.weight:1@4\[4,2\]"),
    ("  residual:", "  heads.3:", "two groups named 'heads.3'"),
    ("  residual:", "  1:", "vit.yaml:2:3: a group's name must be a text"),
    ("groups:\n", "group:\n", "unknown key 'group'"),
    (FILE, "groups: {}", "there is no group"),
    (FILE, "groups: []", "must be a mapping"),
    (FILE, "[1, 2]", "a mapping of keys"),
    (FILE, "groups: {a: {members: []}}", "vit.yaml:1:10: 'a' has no members"),
    (FILE, "groups: {a: {follows: ['head.weight:1']}}", "has no members to tell its units by"),
    (FILE, "groups: {a: {members: head.weight}}", "'members' must be a list"),
    (FILE, "groups: {a: [head.weight]}", "'a' must be a mapping"),
    (FILE, "groups: {a: {members: [", "not valid YAML"),
    (FILE, "groups: {'a.{i}': {members: ['head.weight:1']}}", r"no member of 'a.\{i\}' has all of \{i\}"),
    (FILE, "groups: {'a.{i}': {members: ['blocks.{i}.norm.weight:0', 'blocks.{i}.fc3.weight:1']}}", "no such tensor"),
]


@pytest.mark.parametrize(("old", "new", "problem"), WRONG, ids=[f"{number}" for number in range(len(WRONG))])
def test_what_is_wrong_and_where(old: str, new: str, problem: str) -> None:
    assert old in FILE
    with pytest.raises(UsageError, match=problem) as raised:
        parse_groups(FILE.replace(old, new, 1), VIT, "vit.yaml")
    assert "\n" not in str(raised.value)


def test_a_tensor_that_one_block_lacks_is_named_by_its_number() -> None:
    shapes = {name: shape for name, shape in VIT.items() if name != "blocks.7.mlp.fc2.weight"}
    with pytest.raises(UsageError, match=r"vit.yaml:25:54: .*no such tensor for i = 7"):
        parse_groups(FILE, shapes, "vit.yaml")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such file of groups"):
        read_groups(tmp_path / "groups.yaml", VIT)


def comparable(groups: Groups) -> Any:
    return {
        name: (group.size, group.kind, group.parent, set(group.members), group.only_follows)
        for name, group in groups.groups.items()
    }


def test_written_groups_are_short_and_read_back(tmp_path: Path) -> None:
    groups = parse_groups(FILE, VIT, "vit.yaml")
    write_groups(groups, VIT, tmp_path / "again.yaml")
    assert comparable(read_groups(tmp_path / "again.yaml", VIT)) == comparable(groups)
    lines = (tmp_path / "again.yaml").read_text().splitlines()
    assert '  "heads.{i}":' in lines
    assert '      - "blocks.*.attn.qkv.weight:1"' in lines
    assert len(lines) < 45
    assert render_groups(groups, VIT) == (tmp_path / "again.yaml").read_text()


def test_wildcards_that_would_mean_more_are_not_written() -> None:
    """Group 2 of four is missing, and one member of a group is; no wildcard may bring them back."""
    full = parse_groups(FILE, VIT, "vit.yaml")
    fewer = {name: group for name, group in full.groups.items() if name not in ("mlp.2", "within.5")}
    residual = full.groups["residual"]
    kept = tuple(member for member in residual.members if member.tensor != "blocks.3.norm.weight")
    fewer["residual"] = Group("residual", 48, kept, "residual")
    groups = Groups(fewer)
    text = render_groups(groups, VIT)
    assert comparable(parse_groups(text, VIT, "again.yaml")) == comparable(groups)
    assert "mlp.11" in text
    assert "heads.{i}" in text


def test_two_numbers_pieces_and_names_that_need_quotes() -> None:
    shapes = {f"layer{i}.{j}.conv.weight": (8, 4 + j) for i in range(2) for j in range(12)} | {'a "b" é: c': (12,)}
    groups = {
        f"block.{i}.{j}": Group(f"block.{i}.{j}", 4, (Member(f"layer{i}.{j}.conv.weight", 0, (4,), 0, 4),))
        for i in range(2)
        for j in range(12)
    }
    groups["odd: {name"] = Group("odd: {name", 3, (Member('a "b" é: c', 0, (3, 4), 0),), "heads")
    groups["odd inner"] = Group("odd inner", 4, (Member('a "b" é: c', 0, (3, 4), 1),), "other", "odd: {name")
    text = render_groups(Groups(groups), shapes)
    assert comparable(parse_groups(text, shapes, "g.yaml")) == comparable(Groups(groups))
    assert '"block.{i}.{j}":' in text
    assert '"layer{i}.{j}.conv.weight:0@4[4]/0"' in text
