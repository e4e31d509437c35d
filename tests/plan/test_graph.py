"""The graph of tasks, against a simple reference over random plans."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from mitozoo.plan.graph import Graph
from mitozoo.plan.task import KINDS, Task

PLANS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 3), st.sets(st.integers(0, 30))), max_size=30)


def reference(needs, failing):
    """Return how each task must end: a failed one fails, what needs one that is not done is not run."""
    ends = {}
    for number, needed in enumerate(needs):
        whole = all(ends[need] in ("done", "cached") for need in needed)
        ends[number] = ("failed" if number in failing else "done") if whole else "not run"
    return ends


@settings(max_examples=200, deadline=None)
@given(PLANS, st.sets(st.integers(0, 30)), st.integers(0, 2**32))
def test_every_task_ends_as_it_must_and_none_before_what_it_needs(stated, failing, seed):
    chance, graph = random.Random(seed), Graph()
    needs = [sorted(need for need in needed if need < number) for number, (_, _, needed) in enumerate(stated)]
    for number, (kind, group, _) in enumerate(stated):
        task = Task(str(number), kind, "", (f"dataset {group // 2}", f"model {group}"))
        graph.add(task, map(str, needs[number]))
        graph.add(task, map(str, needs[number]))  # a second run that needs it changes nothing
    taken = []
    while graph.left:
        task = graph.take(("dataset 0", f"model {chance.randrange(3)}"))
        if task is None or (taken and chance.random() < 0.3):
            key = taken.pop(chance.randrange(len(taken)))  # else nothing could ever go on
            if chance.random() < 0.1:
                graph.put_back(key)
            elif int(key) in failing:
                graph.fail(key)
            else:
                graph.done(key)
            if task is None:
                continue
        assert all(graph.settled.get(str(need)) == "done" for need in needs[int(task.key)])
        assert task.key not in taken
        taken.append(task.key)
    assert {int(key): state for key, state in graph.settled.items()} == reference(needs, failing)
    assert sum(sum(n for state, n in counts.items() if state != "all") for counts in graph.counts.values()) == len(
        stated
    )


def test_a_worker_stays_with_its_model_and_later_stages_go_first():
    graph = Graph()
    for shard in range(3):
        for model in ("a", "b"):
            graph.add(Task(f"{model}{shard}", "embed", "", ("tiny", model)))
    graph.add(Task("result", "result", "", ("tiny", "run")), ["b0"])
    assert [graph.take(("tiny", "b")).key for _ in range(2)] == ["b0", "b1"]
    graph.done("b0")
    assert graph.take(("tiny", "b")).key == "result"
    assert graph.take(("tiny", "b")).key == "b2"
    assert graph.take(("tiny", "b")).key == "a0"
    assert graph.drop("embed", ("tiny", "a")) == 2
    assert graph.take(("tiny", "b")) is None


def test_what_waits_for_an_end_goes_on_when_that_fails():
    graph = Graph()
    graph.add(Task("survey", "survey", ""))
    graph.add(Task("control", "result", ""))
    graph.add(Task("run", "result", ""), ["survey"])
    graph.extend("run", [], ends=["control"])
    for _ in range(2):
        graph.take(("", ""))
    graph.done("survey")
    assert graph.take(("", "")) is None
    graph.fail("control")
    assert graph.take(("", "")).key == "run"
