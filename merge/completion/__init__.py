"""A recipe that leaves something to be computed ▸ the same recipe with files that hold it."""
