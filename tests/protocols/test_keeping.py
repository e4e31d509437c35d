"""Checkpoints written in the background: of the moment they were asked for, and told of once they are whole."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch
from tiny_training import Stopped, fit, same

from mitozoo.errors import StorageError
from mitozoo.protocols.checkpoint import Checkpoint, Progress
from mitozoo.protocols.keeping import Keeper, on_processor


class Slow(Checkpoint):
    """Writes when it is let."""

    may = threading.Event()

    def write(self, content):
        assert self.may.wait(30)
        super().write(content)


@pytest.fixture
def slow(tmp_path, monkeypatch):
    monkeypatch.setattr(Slow, "may", threading.Event())
    return Slow(tmp_path / "c.pt", "this training")


def states(value):
    return {
        "network": {"weight": torch.full((3,), value)},
        "optimiser": {"state": [torch.full((3,), value)], "lr": 0.1},
    }


def test_it_holds_the_moment_it_was_asked_for_and_is_told_of_once_whole(slow):
    told, now, progress = [], states(1.0), Progress(epoch=1)
    with Keeper(slow) as keeper:
        keeper.keep(progress, now, lambda: told.append("first"))
        now["network"]["weight"] += 1  # the next epoch's first step
        now["optimiser"]["state"][0] += 1
        progress.epoch = 2
        keeper.look()
        assert (told, slow.path.exists()) == ([], False)
        slow.may.set()
        keeper.wait()
        keeper.look()
        assert told == ["first"]
        kept = slow.load()
    assert kept[0].epoch == 1
    assert kept[1]["network"]["weight"].tolist() == [1.0] * 3
    assert kept[1]["optimiser"]["state"][0].tolist() == [1.0] * 3
    assert kept[1]["optimiser"]["lr"] == 0.1


def test_they_are_told_of_in_their_order_and_the_last_one_stays(slow):
    told = []
    slow.may.set()
    with Keeper(slow) as keeper:
        for epoch in (1, 2, 3):
            keeper.keep(Progress(epoch=epoch), states(epoch), lambda epoch=epoch: told.append(epoch))
            assert told == list(range(1, epoch))  # each waits for the one before
        keeper.wait()
    assert told == [1, 2, 3]
    assert slow.load()[0].epoch == 3


def test_whoever_is_interrupted_leaves_what_was_being_written_whole(slow):
    told = []

    def interrupted():
        with Keeper(slow) as keeper:
            keeper.keep(Progress(epoch=1), states(1.0), lambda: told.append(1))
            slow.may.set()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert told == []
    assert slow.load()[0].epoch == 1


def test_a_disk_that_cannot_be_written_ends_the_training_with_a_sentence(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(StorageError, match=r"cannot write in .*file: File exists"):
        fit(tmp_path / "file" / "c.pt", on_progress=lambda done, total: pytest.fail("nothing is kept"))


def test_training_goes_on_while_a_checkpoint_is_written(tmp_path, monkeypatch):
    """Epoch 1 is told of in the midst of epoch 2, whose steps go on; the result is the undisturbed one's."""
    monkeypatch.setattr("mitozoo.protocols.training.Checkpoint", Slow)
    monkeypatch.setattr(Slow, "may", threading.Event())
    steps, told, look = [], [], Keeper.look

    def noted(self):
        steps.append(self._writing is not None)
        if len(steps) == 5:  # of epoch 1 there are three, in which nothing is being written
            Slow.may.set()
            self._writing[0].result()
        look(self)

    monkeypatch.setattr(Keeper, "look", noted)
    disturbed = fit(tmp_path / "c.pt", epochs=2, on_progress=lambda done, total: told.append((done, len(steps))))
    assert steps[:5] == [False] * 3 + [True] * 2
    assert told[0] == (1, 5)
    monkeypatch.undo()
    same(disturbed, fit(tmp_path / "d.pt", epochs=2))


def test_a_training_stopped_before_a_checkpoint_is_whole_goes_on_from_the_one_before(tmp_path, monkeypatch):
    write, path = Checkpoint.write, tmp_path / "c.pt"

    def failing(self, content):
        if content["progress"]["epoch"] == 3:
            raise Stopped
        write(self, content)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "write", failing)
        with pytest.raises(Stopped):
            fit(path)
    seen = []
    same(fit(path, on_progress=lambda done, total: seen.append(done)), fit(tmp_path / "undisturbed.pt"))
    assert seen == [3, 4]


DYING = """
import os, signal, sys
from pathlib import Path
from mitozoo.protocols import checkpoint
from tiny_training import fit
save = checkpoint.torch.save
def dying(content, buffer):
    save(content, buffer)
    if content["progress"]["epoch"] == 3:
        unfinished = Path(sys.argv[1]).with_name("half")
        unfinished.write_bytes(buffer.getbuffer()[:500])
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.torch.save = dying
fit(Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_process_killed_while_it_writes_goes_on_from_the_checkpoint_before(tmp_path):
    script = [sys.executable, "-c", DYING, str(tmp_path / "c.pt")]
    killed = subprocess.run(script, check=False, cwd=Path(__file__).parent)
    assert killed.returncode == -signal.SIGKILL
    seen = []
    same(fit(tmp_path / "c.pt", on_progress=lambda done, total: seen.append(done)), fit(tmp_path / "undisturbed.pt"))
    assert seen == [3, 4]


def test_what_is_no_tensor_stays_as_it_is():
    given = {"a": [1, (2, 3)], "b": None, "c": {"d": torch.ones(2)}}
    copied = on_processor(given)
    assert copied["a"] == [1, (2, 3)]
    assert copied["c"]["d"] is not given["c"]["d"]
    assert torch.equal(copied["c"]["d"], given["c"]["d"])
