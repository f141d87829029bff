"""What is said of an option that a command does not have: what may be meant, and which ones are the method's own."""

from __future__ import annotations

import difflib
from typing import Any

from .errors import some_of

OWN_PANEL = "Method"  # under which ``--help`` lists what a method has beyond the flags of every merge
_SURE = 0.75  # how alike names are, without their dashes, before one is suggested
_MOST = 8


def told(error: Any) -> str:
    """Return the message of an error of the parser; that of an unknown option says where to look for the right one."""
    if getattr(error, "ctx", None) is None or not hasattr(error, "possibilities") or not hasattr(error, "option_name"):
        return str(error.format_message())
    options = [one for one in error.ctx.command.params if one.opts[0][0] == "-" and not getattr(one, "hidden", False)]
    known = {name.lstrip("-"): name for one in options for name in (*one.opts, *one.secondary_opts)}
    near = difflib.get_close_matches(error.option_name.lstrip("-"), known, n=1, cutoff=_SURE)
    command = error.ctx.command_path
    own = [one.opts[0] for one in options if getattr(one, "rich_help_panel", None) == OWN_PANEL]
    hints = [f"did you mean {known[near[0]]}?"] if near else []
    hints += [f"{error.ctx.info_name} has {some_of(own, _MOST)}"] if own and not near else []
    return f"{error.message} ({'; '.join([*hints, f'{command} --help lists all'])})"
