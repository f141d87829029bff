"""Outputs elsewhere."""
