"""Time to build a leaderboard of many results, and to see its first table: 100,000 of them by default.

The documents are made up from a real one, of the colour statistics on the embedded dataset: names, licences, hashes and
scores are changed, and each keeps its schema and its run id. They lie in folders of their own beside a compute.json, as
runs do: 200 models x 20 datasets x 5 protocols x 5 entries, some 5 GB, which are removed in the end. Where playwright
and Chromium are installed, the first page and the largest one are opened from the disk, and one whose table has a row
for each result, as if each were of another model.

python benchmarks/leaderboard.py
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from recording import arguments, keep, say

import mitozoo
from mitozoo.leaderboard.boards import make_boards
from mitozoo.leaderboard.pages import board_page, render
from mitozoo.leaderboard.reading import read_document
from mitozoo.leaderboard.site import build_site
from mitozoo.leaderboard.walking import find_results
from mitozoo.plugins.record import canonical_json
from mitozoo.results.run_folder import COMPUTE, RESULT, run_id

if TYPE_CHECKING:
    import argparse

LICENCES = ("Apache-2.0", "MIT", "CC-BY-NC-ND-4.0", "the owner's own")


def main():
    parser = arguments(__doc__)
    for what, number in (("models", 200), ("datasets", 20), ("protocols", 5), ("entries", 5)):
        parser.add_argument(f"--{what}", type=int, default=number)
    parser.add_argument("--processes", type=int, help="that read documents; default: one a core")
    parser.add_argument("--folder", type=Path, help="where the documents and the site lie meanwhile")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        real = mitozoo.evaluate("colour-statistics", "demo", out=Path(folder) / "real").folder
        runs, site = Path(folder) / "results", Path(folder) / "site"
        size = make_up(real, runs, asked)
        results = asked.models * asked.datasets * asked.protocols * asked.entries
        say(f"{results:,} results of {size / results / 1e3:.0f} kB, {size / 1e9:.2f} GB")
        start, used = time.perf_counter(), os.times()
        built = build_site(runs, site, processes=asked.processes)
        taken, after = time.perf_counter() - start, os.times()
        spent = sum(after[:4]) - sum(used[:4])
        pages = list(site.rglob("*.html"))
        say(f"built: {taken:.1f} s, of the processors {spent:.1f} s; {built.boards:,} tables, {len(pages):,} pages, "
              f"{sum(page.stat().st_size for page in pages) / 1e6:,.0f} MB")  # fmt: skip
        largest = max(pages, key=lambda page: page.stat().st_size)
        for page in (site / "index.html", largest, widest(runs, site / "widest.html", results)):
            say(f"{page.relative_to(site)}, {page.stat().st_size / 1e6:.2f} MB: {seen(page)}")
    keep(asked, __doc__)


def make_up(real: Path, runs: Path, asked: argparse.Namespace) -> int:
    """Write the documents, and return their bytes in all."""
    document, compute = (orjson.loads((real / name).read_bytes()) for name in (RESULT, COMPUTE))
    chance, size, number = random.Random(0), 0, 0
    document["marks"] = [mark for mark in document["marks"] if "control" not in mark]
    measured = [dict(entry["metrics"]["auroc"]) for entry in document["summary"]]
    for protocol in range(asked.protocols):
        name_protocol(document, protocol)
        for dataset in range(asked.datasets):
            document["dataset"] |= {"name": f"cells-{dataset:02}", "cells_sha256": sha256(f"cells {dataset}")}
            for model in range(asked.models):
                for entry in range(asked.entries):
                    for summary, real_auroc in zip(document["summary"], measured, strict=True):
                        odds = 1 + 2 * model / asked.models + chance.gauss(0, 0.1)
                        turned = {
                            k: moved(v, odds) if k in ("mean", "ci_low", "ci_high") else v
                            for k, v in real_auroc.items()
                        }
                        summary["metrics"]["auroc"] = turned
                    document["model"] |= {
                        "name": f"encoder-{model:03}", "fingerprint": sha256(f"model {model}, {entry}"),
                        "license": LICENCES[model % 4], "gated": model % 3 == 0, "parameters": 10**6 * (model + 1),
                    }  # fmt: skip
                    identify(document)
                    compute["calls"][-1]["created"] = f"2026-0{1 + entry % 9}-01T00:00:00+00:00"
                    folder = runs / f"{number // 1000:03}" / f"{number:06}"
                    folder.mkdir(parents=True)
                    size += (folder / RESULT).write_bytes(orjson.dumps(document, option=orjson.OPT_INDENT_2))
                    (folder / COMPUTE).write_bytes(orjson.dumps(compute, option=orjson.OPT_INDENT_2))
                    number += 1
    return size


def widest(runs: Path, page: Path, rows: int) -> Path:
    """Write the page of a table with so many rows, made of the first result, and return it."""
    start = time.perf_counter()
    [entry, *_] = read_document(find_results(runs)[0])
    entries = [
        replace(entry, sha256=f"{number:064x}", model=replace(entry.model, name=f"encoder-{number}"))
        for number in range(rows)
    ]
    [board] = make_boards(entries, {})
    pages = {one.model.key: "../index.html" for one in entries}
    page.write_text(render(board_page(board, pages, "../index.html")), encoding="utf-8")
    say(f"a table of {rows:,} rows: made in {time.perf_counter() - start:.1f} s")
    return page


def moved(share: float, odds: float) -> float:
    """Return a share with its odds multiplied by so many."""
    return odds * share / (1 - share + odds * share)


def name_protocol(document, number: int) -> None:
    """Make another protocol of it, by another seed of its split."""
    protocol = document["protocol"]
    protocol["parameters"]["split_seed"] = number
    protocol["name"] = f"linear-probe@1+split_seed={number}"
    protocol["hash"] = sha256(canonical_json({"version": protocol["version"]} | protocol["parameters"]))


def identify(document) -> None:
    """Make the run's id anew."""
    model, dataset, protocol = (document[part] for part in ("model", "dataset", "protocol"))
    document["identity"] |= {
        "model": model["fingerprint"], "cells": dataset["cells_sha256"], "protocol": protocol["hash"],
    }  # fmt: skip
    document["run_id"] = run_id(document["identity"])


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def seen(page: Path) -> str:
    """Return how long a fresh Chromium takes until the first row of the page's table shows, the third time."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        return "not opened: playwright is not installed"
    if program is None:
        return "not opened: there is no Chromium"
    with sync_playwright() as driver, driver.chromium.launch(executable_path=program) as browser:
        for _ in range(3):
            tab = browser.new_page()
            start = time.perf_counter()
            tab.goto(page.as_uri(), wait_until="commit")
            tab.locator("#results tbody tr").first.wait_for(state="visible")
            first = time.perf_counter() - start
            tab.wait_for_load_state("load")
            whole = time.perf_counter() - start
            start = time.perf_counter()
            tab.locator("#results thead button").nth(2).click()
            tab.locator("#results th[aria-sort]").wait_for()
            sorting = time.perf_counter() - start
            tab.close()
    return f"first row after {first:.2f} s, whole page after {whole:.2f} s, sorted by a click in {sorting:.2f} s"


if __name__ == "__main__":
    main()
