"""A cluster of Ray on this machine, of processes that stand for machines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def ray_nodes(home: Path, count: int = 2) -> Iterator[Any]:
    """Start a head that does no work and nodes of one processor each; their home folder is a given one.

    Yields:
        The cluster; its `workers` are the nodes.
    """
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))  # Ray writes into it
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        found = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
        try:
            found.workers = [found.add_node(num_cpus=1) for _ in range(count)]
            found.wait_for_nodes()
            yield found
        finally:
            found.shutdown()
