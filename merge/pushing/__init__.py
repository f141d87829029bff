"""Outputs to the hub."""
