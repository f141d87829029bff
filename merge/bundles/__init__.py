"""Bundles: several checkpoints and a rule that joins them at inference, where one checkpoint cannot hold the result."""
