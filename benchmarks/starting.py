"""What a command costs before it does anything: the interpreter, click, help, and lists over every installed plugin.

python benchmarks/starting.py [--rounds 15]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time

from recording import arguments, keep, say

from mitozoo.plugins.discovery import installed_plugins

COMMANDS = {
    "the interpreter alone": ["-c", "pass"],
    "import click": ["-c", "import click"],
    "mitozoo --help": ["-m", "mitozoo", "--help"],
    "mitozoo models": ["-m", "mitozoo", "models"],
    "mitozoo info, a misspelt name": ["-m", "mitozoo", "info", "resnet5"],
}


def main() -> None:
    parser = arguments(__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    rounds = asked.rounds
    say(f"{len(installed_plugins())} plugins; medians of {rounds}, in turns")
    clock: dict[str, list[float]] = {what: [] for what in COMMANDS}
    processor: dict[str, list[float]] = {what: [] for what in COMMANDS}
    for number in range(rounds + 1):  # the first round may write byte code
        for what, words in COMMANDS.items():
            before, began = os.times(), time.perf_counter()
            subprocess.run([sys.executable, *words], capture_output=True, check=False)
            seconds, after = time.perf_counter() - began, os.times()
            if number:
                clock[what].append(seconds)
                spent = after.children_user + after.children_system - before.children_user - before.children_system
                processor[what].append(spent)
    for what in COMMANDS:
        say(f"{what:32} {statistics.median(clock[what]):.3f} s, processor {statistics.median(processor[what]):.3f} s")
    keep(asked, __doc__)


if __name__ == "__main__":
    main()
