"""Checkpoints that lie elsewhere: on the hub, behind a URL, in an object store; read by ranges of bytes."""
