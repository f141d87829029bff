"""Matrices as products of two thin ones: factorised while they are streamed, kept in a file, written as an adapter."""
