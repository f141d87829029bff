"""Learned scaling of task vectors: one coefficient for each task vector and tensor, found with data.

They end up in statistics files, one for each task vector, so that the checkpoint is written by an ordinary merge.
"""
