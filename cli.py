"""Run the tool from a checkout: ``python cli.py soup a.st b.st -o out.st``."""

from merge.cli import main

raise SystemExit(main())
