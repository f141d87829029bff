"""Bundles over benchmarks: the rule itself, and beside it what a reader must compare it with."""
