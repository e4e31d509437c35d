"""Begins a worker, as a script of its environment's Python: sets its pipes aside, then lends it the host's own code.

It is run without site (`-S`), so that nothing can print into the pipes before they are out of reach.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.machinery import PathFinder
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec


class HostCode:
    """Finds the packages that the host lends, mitozoo and one plugin, and nothing else of the host's."""

    def __init__(self, places: dict[str, str]) -> None:
        self.places = places  # top-level package -> the folder that holds it

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:  # noqa: ARG002
        """Find a lent top-level package; what lies in it is found by Python from there."""
        place = self.places.get(name)
        return PathFinder.find_spec(name, [place]) if place else None


def begin(places: dict[str, str]) -> None:
    """Serve until the host ends the conversation; whatever the model prints goes to stderr."""
    questions, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    import site

    site.main()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr] # what a model prints is seen in time
    sys.meta_path.insert(0, HostCode(places))
    from mitozoo.models.isolated.worker import serve

    serve(open(questions, "rb", buffering=0), open(answers, "wb", buffering=0))  # noqa: PTH123, SIM115


if __name__ == "__main__":
    begin(json.loads(sys.argv[1]))
