"""Measures the CPU time and memory of every streaming method against the soup of the same bytes.

Run it from a checkout: ``python benchmarks/methods.py``. It takes the flags of `streaming.py`, of which it is one case;
``--mergekit`` runs mergekit's linear and TIES beside ours.
"""

from __future__ import annotations

import sys

from streaming import main

if __name__ == "__main__":
    main(["--case", "methods", *sys.argv[1:]])
