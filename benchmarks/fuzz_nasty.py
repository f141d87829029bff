"""Nasty values and fragments: what programs and attackers put where a number, a name or a list belongs."""

from __future__ import annotations

import json

DEEP = 100_000  # levels of nesting
LONG = 100_000  # characters


def _laughs(levels: int = 9, each: int = 9) -> bytes:
    """Return YAML that stands for ``each ** levels`` items."""
    names = "abcdefghijklmnopqrst"
    lines = [f"&{names[0]} [{', '.join(['ha'] * each)}]"]
    lines += [f"&{names[n]} [{', '.join([f'*{names[n - 1]}'] * each)}]" for n in range(1, levels)]
    return f"[{', '.join(lines)}]".encode()


NUMBERS = (
    *(b"0", b"-1", b"1", b"2.5", b"-0.0", b"1e-400", b"1e999", b"-1e999", b"NaN", b"Infinity", b"9" * 400, b"1" * 5000),
    *(str(2**power).encode() for power in (31, 32, 53, 63, 64)),
    *(str(-(2**power)).encode() for power in (31, 63)),
)
TEXTS = tuple(
    json.dumps(text).encode()
    for text in (
        *("", " ", "a", "\0", "a\nb", "\x1b[31m", "\ufeff", "\u202eabc", "\ud800", "\xe9" * 9, "x" * LONG, "[" * DEEP),
        *("..", "../a.st", "a.st", "b.st", ".", "-", "=", "+", "#", "a.st+b.st", "a.st=0.5", "*", "{}", "{i}", "**"),
        *("(", "(a+)+$", "[", "\\", "%s%n", "{0.__class__}", "1", "1e999", "nan", "true", "null", "0:0[0]/0"),
        *("base", "union", "soup", "fp99", "F32", "LORA", "cpu", "5GB", "999999999999999999999TB", "w:99999999999"),
    )
)
CONTAINERS = (
    *(
        b"[]",
        b"{}",
        b"[[]]",
        b"[null]",
        b'{"": null}',
        b'{"a": 1, "a": 2}',
        b"[1, 2]",
        b'["a", "b"]',
        b"[0, -1, 1e999]",
    ),
    b"[" * DEEP + b"]" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b"[" + b"0," * LONG + b"0]",
)
JSON_VALUES = (b"null", b"true", b"false", *NUMBERS, *TEXTS, *CONTAINERS)
YAML_VALUES = (
    *(b".nan", b".inf", b"~", b"0x_", b"0o9", b"1_000", b"2001-13-45", b"2001-01-01", b"12:30:45", b"yes", b"*nobody"),
    *(
        b"&self [*self]",
        b"&self {a: *self}",
        b"{? [a, b] : c}",
        b"{1: 2, null: 3}",
        b"!!binary aGVsbG8=",
        b"!!set {a, b}",
    ),
    b"!!omap [a: 1]",
    b"!!timestamp x",
    b"!!float x",
    b"!!int x",
    b"!unknown {a: 1}",
    b'!!python/object/apply:os.system ["touch executed"]',
    b"!!python/name:os.system",
    b"| \n a",
    b"%YAML 9.9",
    b"{<<: [1]}",
    b"{<<: *nobody}",
    _laughs(),
)
FRAGMENTS = (
    *(
        b"\0",
        b"\xff",
        b"\xfe\xff",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xc3",
        b"\r",
        b"\n",
        b"\t",
        b"\x80\x02",
        b"PK\x03\x04",
    ),
    *(
        b'"',
        b"'",
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"- ",
        b"? ",
        b"#",
        b"&",
        b"*",
        b"!",
        b"|",
        b">",
        b"%",
        b"@",
        b"`",
    ),
    *(b"---\n", b"...\n", b"\\u0000", b"\\ud800", b"null", b"true", b"-", b"1e999", b"NaN", b"9" * 5000),
    b"[" * DEEP,
    b'{"a":' * DEEP,
    b"x" * LONG,
    b"- " * 3000,
    b"\n" * 3000,
)
