"""The page's script shows, sorts and filters as the page itself was written; run by node, where that is installed."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from importlib.resources import files

import pytest

from mitozoo.leaderboard.table import Column, shown

NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="node is not installed")


def evaluated(expression: str, given: object) -> object:
    """Return what an expression over `given` is, after the page's script was read."""
    script = (files("mitozoo.leaderboard") / "page.js").read_text(encoding="utf-8")
    code = f"{script}\nconst given = {json.dumps(given)};\nconsole.log(JSON.stringify({expression}));"
    assert NODE is not None
    done = subprocess.run([NODE, "-"], input=code, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_values_are_shown_in_the_same_words():
    chance = random.Random(0)
    values = [("interval", 0, [round(chance.random(), 3) for _ in range(3)]) for _ in range(200)]
    values += [
        ("interval", 0, [0.5]),
        ("interval", 0, None),
        ("rank", 0, [1, 1]),
        ("rank", 0, [2, 7]),
        ("rank", 0, None),
    ]
    values += [("number", digits, round(chance.uniform(0, 5000), digits)) for digits in (0, 1, 3) for _ in range(100)]
    values += [("number", 1, 0.0), ("number", 0, None), ("text", 0, "<b>"), ("text", 0, "")]
    said = evaluated("given.map(([kind, digits, value]) => shownAs(value, kind, digits))", values)
    assert said == [shown(Column("", kind, digits), value) for kind, digits, value in values]


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("kind", "values"), [
    ("number", [3, None, 1, 10, 2]), ("interval", [[0.9, 0.8, 1], None, [0.7], [0.85, 0.1, 0.9]]),
    ("rank", [[2, 5], [1, 9], None, [1, 2], [10, 10]]), ("text", ["b", "", "A", "c"]),
    ("name", [["b", ""], ["A", "x"]]),
])  # fmt: skip
def test_rows_sort_by_what_they_mean_and_the_unknown_stands_last(kind, values, descending):
    def unknown(value):
        return value in (None, "")

    def key(value):
        return (value[0] if kind == "name" else value).lower() if kind in ("text", "name") else value

    known = sorted((value for value in values if not unknown(value)), key=key, reverse=descending)
    expected = known + [value for value in values if unknown(value)]
    rows = evaluated(f"sorted(given.map((value) => [value]), 0, '{kind}', [], {str(descending).lower()})", values)
    assert [row[0] for row in rows] == expected


def test_equal_rows_keep_their_order():
    rows = evaluated("sorted(given, 0, 'number', [], true)", [[1, "a"], [2, "b"], [1, "c"], [2, "d"]])
    assert rows == [[2, "b"], [2, "d"], [1, "a"], [1, "c"]]


COLUMNS = [["name", 0], ["number", 1], ["text", 0], ["marks", 0]]
WORDS = [["THIS SPLIT LEAKS", True], ["synthetic data", False]]
ROWS = [
    [["virchow2", "x.html"], 632.0, "MIT", [0], "leaking gated"],
    [["uni", "y.html"], None, "", [1], ""],
    [["phikon", "z.html"], 86.0, "MIT", [], "gated"],
]


@pytest.mark.parametrize(("filters", "left"), [
    ([], ["virchow2", "uni", "phikon"]),
    ([{"kind": "is", "column": 2, "value": "MIT"}], ["virchow2", "phikon"]),
    ([{"kind": "most", "column": 1, "value": 100}], ["phikon"]),
    ([{"kind": "without", "value": "gated"}], ["uni"]),
    ([{"kind": "without", "value": "leaking"}], ["uni", "phikon"]),
    ([{"kind": "search", "value": "leaks"}], ["virchow2"]),
    ([{"kind": "search", "value": "html"}], []),  # an address is no text of the row, nor are its traits
    ([{"kind": "search", "value": "gated"}], []),
    ([{"kind": "is", "column": 2, "value": "MIT"}, {"kind": "search", "value": "phi"}], ["phikon"]),
])  # fmt: skip
def test_filters_leave_what_they_ask_for(filters, left):
    expression = (
        "given.rows.filter((row) => passes(row, given.filters, (each) => textOf(each, given.columns, given.words)))"
    )
    given = {"rows": ROWS, "filters": filters, "columns": COLUMNS, "words": WORDS}
    assert [row[0][0] for row in evaluated(expression, given)] == left
