"""How much of a GPU a merge uses, how its workers share that, and which GPU each gets."""

from __future__ import annotations

import threading

import pytest
import torch
from in_memory import recipe_of, run_recipe

from merge.engine import RunSettings
from merge.errors import UsageError
from merge.plan import make_plan
from merge.streaming import backends, gpus
from merge.streaming.backends import GPU_CHUNK_ELEMENTS, choose_backend, fewest_threads
from merge.streaming.gpus import Gpus
from merge.streaming.pieces import BLOCK_ELEMENTS
from merge.streaming.shortage import Room, ShortageError, bytes_needed

MODELS = [{"w": torch.full((300, 1000), float(number))} for number in range(3)]


@pytest.fixture
def plan():
    made = make_plan(recipe_of("soup", MODELS))
    yield made
    made.close()


def chosen(plan, device="cuda", threads=2, **settings):
    return choose_backend(plan, RunSettings(device=device, **settings), threads)


def test_room_is_waited_for():
    room, inside, waiting, left = Room(100), [], threading.Event(), threading.Event()

    def second():
        waiting.set()
        with room.take(60):
            inside.append("second")
            assert left.is_set()

    with room.take(60), room.take(40):
        thread = threading.Thread(target=second)
        thread.start()
        assert waiting.wait(5)
        thread.join(0.05)
        assert not inside
        left.set()
    thread.join(5)
    assert inside == ["second"]


def test_room_is_given_back_after_an_error():
    room = Room(100)
    with pytest.raises(KeyError), room.take(100):
        raise KeyError
    with room.take(100):
        pass


def test_what_can_never_fit_is_not_waited_for():
    with pytest.raises(ShortageError), Room(99).take(100):
        pass


def test_workers_together_stay_under_the_limit(stand_in, monkeypatch):
    held, most, lock = [0], [0], threading.Lock()
    plain = Room.take

    def take(room, nbytes):
        context = plain(room, nbytes)

        class Watched:
            def __enter__(self):
                context.__enter__()
                with lock:
                    held[0] += nbytes
                    most[0] = max(most[0], held[0])

            def __exit__(self, *error):
                with lock:
                    held[0] -= nbytes
                context.__exit__(*error)

        return Watched()

    monkeypatch.setattr(Room, "take", take)
    states = [{f"w{n}": torch.rand(64, 64) for n in range(12)} for _ in range(3)]
    made = make_plan(recipe_of("tsv-m", states[1:], states[0]))
    one = bytes_needed(made.rows[0], 64 * 64)
    made.close()
    settings = RunSettings(device="cuda", threads=6, gpu_memory=2 * one + one // 2)
    run_recipe(recipe_of("tsv-m", states[1:], states[0]), settings)
    assert one <= most[0] <= 2 * one


def test_a_decomposition_needs_more_than_a_sum(plan):
    row = plan.rows[0]
    assert bytes_needed(row, 2000) == 2 * bytes_needed(row, 1000)
    base = {"w": torch.zeros(300, 1000)}
    whole = make_plan(recipe_of("tsv-m", MODELS, base))
    assert bytes_needed(whole.rows[0], 1000) > bytes_needed(row, 1000)
    whole.close()


def test_chunks_shrink_with_the_memory_and_the_number_of_workers(plan, stand_in):
    _, plenty = chosen(plan)
    assert plenty == GPU_CHUNK_ELEMENTS
    sizes = [chosen(plan, gpu_memory=2**26, threads=threads)[1] for threads in (1, 2, 4)]
    assert plenty > sizes[0] > sizes[1] > sizes[2] >= BLOCK_ELEMENTS
    for size, threads in zip(sizes, (1, 2, 4), strict=True):
        elements = size * 2 // 4  # of float32
        assert threads * bytes_needed(plan.rows[0], elements) <= 2**26
    assert chosen(plan, gpu_memory=1)[1] == BLOCK_ELEMENTS


def test_by_default_most_of_what_is_free_is_used(stand_in):
    stand_in.free = 1000
    with Gpus(["cuda:0"], None, 1, allow_nonfinite=False) as made:
        assert made.limit == 900
        assert stand_in.loaded == ["cuda:0"]
    assert stand_in.fractions == [("cuda:0", 900 / stand_in.total), ("cuda:0", 1.0)]
    assert stand_in.emptied == 1
    assert Gpus(["cuda:0"], 300, 1, allow_nonfinite=False).limit == 300
    assert Gpus(["cuda:0"], 2000, 1, allow_nonfinite=False).limit == 900


def test_processes_on_one_machine_share_a_gpu(plan, stand_in):
    made, _ = chosen(plan, gpu_memory=10**9, workers=4)
    assert made.limit == 10**9 // 4
    made, _ = chosen(plan, gpu_memory=10**9, workers=4, engine="ray")
    assert made.limit == 10**9


def test_workers_are_dealt_all_gpus_in_turn(plan, stand_in, monkeypatch):
    stand_in.count = 3
    made, dealt = chosen(plan)[0], []
    monkeypatch.setattr("merge.streaming.torch_backend.TorchBackend", lambda name, *_, **__: dealt.append(name))
    for _ in range(6):
        made()
    assert sorted(dealt[:3]) == ["cuda:0", "cuda:1", "cuda:2"]
    assert dealt[3:] == dealt[:3]
    one, dealt[:] = chosen(plan, device="cuda:2")[0], []
    for _ in range(3):
        one()
    assert dealt == ["cuda:2"] * 3


def test_three_threads_keep_a_gpu_busy(plan, stand_in):
    stand_in.count = 2
    assert fewest_threads(plan, "cuda") == 6
    assert fewest_threads(plan, "cuda:1") == 3
    assert fewest_threads(plan, "cpu") == fewest_threads(plan, "auto") == 1


def test_two_gpus_give_the_bytes_of_one(stand_in):
    states = [{f"w{n}": torch.rand(70_000) for n in range(5)} for _ in range(3)]
    recipe, ids = recipe_of("ties", states[1:], states[0]), set()
    for count in (1, 2):
        stand_in.count = count
        ids.add(run_recipe(recipe, RunSettings(device="cuda", threads=4))[2].output_id)
    ids.add(run_recipe(recipe)[2].output_id)
    assert len(ids) == 1


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_memory_of_no_gpu_is_refused(plan, device):
    with pytest.raises(UsageError, match="--gpu-memory is for merging on a GPU"):
        chosen(plan, device=device, gpu_memory=2**30)


def test_the_flag(cli, pair, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def refused(*flags):
        found = cli("soup", *pair, "-o", "out.st", *flags)
        assert found.code == 2
        return found.err

    assert "'8XB' is no size" in refused("--gpu-memory", "8XB")
    assert "--device is cpu" in refused("--gpu-memory", "8GB", "--device", "cpu")
    for more in ((), ("--dry-run",), ("--workers", "2")):
        assert "no GPU is in use" in refused("--gpu-memory", "8GB", *more)
    seen = []
    make = backends.choose_backend(None, RunSettings(device="cpu"), 1)
    monkeypatch.setattr("merge.commands.merging.check_gpu_memory", lambda plan, settings: None)
    monkeypatch.setattr("merge.engine.choose_backend", lambda plan, settings, threads: seen.append(settings) or make)
    assert cli("soup", *pair, "-o", "out.st", "--gpu-memory", "1.5GiB").code == 0
    assert seen[0].gpu_memory == int(1.5 * 2**30)


def test_a_gpu_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="no CUDA device is visible"):
            gpus.gpu_names("cuda:0")
