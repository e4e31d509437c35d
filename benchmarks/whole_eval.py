"""Time of a whole evaluation against extraction alone, of more seeds when cached, and of the identical command.

Each is a process of its own, start-up included; caches lie in a folder made for the run.

python benchmarks/whole_eval.py --dataset ami-br --data DIR
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from recording import arguments, keep, say

FRACTIONS = "0.05,0.1,0.3,0.5,1"


def main():
    parser = arguments(__doc__)
    parser.add_argument("--model", default="efficientnet-lite0")
    parser.add_argument("--dataset", default="demo")
    parser.add_argument("--data")
    parser.add_argument("--limit", type=int)
    asked = parser.parse_args()
    about = ["--model", asked.model, "--dataset", asked.dataset]
    about += ["--data", asked.data] if asked.data else []
    about += ["--limit", str(asked.limit)] if asked.limit else []

    with tempfile.TemporaryDirectory() as folder:
        runs = ["--out", f"{folder}/runs", "--fractions", FRACTIONS]
        command(folder, "alone", ["datasets"])  # the package's own files are in memory from here on
        prepare = ["embed", *about, "--output", f"{folder}/warm.safetensors", "--limit", "2"]
        command(folder, "alone", prepare)  # the embedded dataset is made, and files are hashed
        extraction = command(folder, "alone", ["embed", *about, "--output", f"{folder}/all.safetensors"])
        command(folder, "whole", prepare)
        whole = command(folder, "whole", ["eval", *about, *runs, "--seeds", "5"])
        more = command(folder, "whole", ["eval", *about, *runs, "--seeds", "7"])
        again = command(folder, "whole", ["eval", *about, *runs, "--seeds", "7"])
    say(f"extraction alone: {extraction:.1f} s")
    say(f"whole evaluation, 5 seeds x 5 fractions x folds: {whole:.1f} s, {whole / extraction:.2f} times as long")
    say(f"two more seeds on cached embeddings: {more:.1f} s")
    say(f"the identical command again: {again:.2f} s")
    keep(asked, __doc__)


def command(folder: str, home: str, words: list[str]) -> float:
    """Run a command with caches of its own and return its seconds."""
    environment = os.environ | {"MITOZOO_HOME": f"{folder}/{home}"}
    start = time.perf_counter()
    mitozoo = Path(sys.executable).with_name("mitozoo")
    subprocess.run([mitozoo, *words], env=environment, check=True, capture_output=True)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
