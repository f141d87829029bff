"""Lets ``python -m merge`` do what ``merge`` does."""

from .cli import main

raise SystemExit(main())
