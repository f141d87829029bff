"""What bounds a job, by hand: the arithmetic on measured rates."""

from __future__ import annotations

import pytest

from merge.checkpoints.meter import Meter, Spent
from merge.estimate.placement import PROCESSOR, place


def test_one_thread_needs_the_sum_of_everything():
    found = place({"disk /": 10.0}, worked=10 + 4 + 1, computed=4, threads=1, cores=8)
    assert found.seconds == 15
    assert found.bound_by == "disk /"


def test_many_threads_wait_for_the_disk():
    found = place({"disk /": 10.0, "hub": 3.0}, worked=30, computed=17, threads=8, cores=8)
    assert found.seconds == 10
    assert (found.bound_by, found.useful, found.anywhere) == ("disk /", 3, 3)


def test_the_processor_bounds_what_computes_for_long():
    found = place({"disk /": 10.0}, worked=110, computed=100, threads=2, cores=2)
    assert found.seconds == 55
    assert (found.bound_by, found.useful, found.anywhere) == (PROCESSOR, 2, 11)


def test_more_threads_than_cores_compute_no_faster():
    found = place({}, worked=100, computed=100, threads=16, cores=4)
    assert (found.seconds, found.bound_by, found.useful, found.anywhere) == (25, PROCESSOR, 4, None)


@pytest.mark.parametrize("threads", [1, 2, 3, 7, 64])
def test_never_faster_than_any_bound_and_never_slower_with_more(threads):
    found = place({"a": 6.0, "b": 5.0}, worked=31, computed=20, threads=threads, cores=4)
    assert found.seconds >= max(6.0, 20 / 4, 31 / threads)
    assert found.seconds <= place({"a": 6.0, "b": 5.0}, 31, 20, max(1, threads - 1), 4).seconds


def test_a_meter_tells_work_from_waiting(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 4.0, 10.0, 12.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    meter = Meter()
    one, two = meter.begin(), meter.begin()
    meter.end(one, 100)
    meter.end(two, 100)
    meter.end(meter.begin(), 50)
    assert meter.spent() == Spent(250, 3 + 3 + 2, 4 + 2)


def test_a_meter_counts_no_bytes_of_what_fails():
    meter = Meter()
    with pytest.raises(OSError, match="gone"), meter.timed(100):
        raise OSError("gone")
    assert meter.spent().nbytes == 0
    assert meter.spent().seconds > 0


def test_processes_side_by_side_share_the_time():
    assert Spent(10, 2, 1.5).beside(Spent(20, 3, 2.5)) == Spent(30, 5, 2.5)
    assert Spent(30, 5, 2.5).since(Spent(10, 2, 1.5)) == Spent(20, 3, 1)
