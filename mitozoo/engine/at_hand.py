"""What an evaluation needs that is not on this machine, told without asking the net for anything."""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING

from mitozoo.engine.find_dataset import find_data
from mitozoo.engine.hub_access import WeightFile
from mitozoo.errors import MitozooError
from mitozoo.models.on_the_spot import is_on_the_spot
from mitozoo.models.requirements import require_packages
from mitozoo.models.weights import locate
from mitozoo.plugins.registry import load_registry
from mitozoo.plugins.sources import PackagedWeights
from mitozoo.protocols.presets import find_protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mitozoo.engine.published import PublishedRow


class AtHand:
    """This machine, as far as published rows need it; each dataset is looked at once."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """Take where datasets lie: name -> folder; others lie where they were fetched or are made."""
        self.folders = folders
        self._dataset_lack = functools.cache(self._lack_of_dataset)

    def lacks(self, row: PublishedRow) -> list[str]:
        """Return what is missing for a row, one sentence each; empty: it can run, as far as can be told.

        A model that a function of its plugin loads, or that comes from an address, may turn out to lack its weights.
        """
        found = [self._dataset_lack(name, bool(row.model)) for name in row.datasets]
        if row.model:
            found += [_lack_of_model(row.model), _lack_of_protocol(row.protocol)]
        return [lack for lack in found if lack]

    def _lack_of_dataset(self, name: str, with_images: bool) -> str:
        from mitozoo.data.cells import read_cells

        try:
            found = find_data(name, self.folders.get(name))
            root = found.folder
            files: list[str] = read_cells(found.spec, root).table["file"].unique().tolist() if with_images else []
        except MitozooError as error:
            return error.message
        absent = [file for file in files if not (root / file).is_file()]
        return f"dataset '{name}': {len(absent):,} of {len(files):,} images are not in {root}" if absent else ""


def _lack_of_model(name: str) -> str:
    if is_on_the_spot(name):
        return ""
    try:
        spec = load_registry().model(name).spec
        require_packages(spec)
        if isinstance(spec.load, PackagedWeights):
            locate(spec.load)
        absent = [file for file in WeightFile.all_of(spec) if not file.is_here()]
    except MitozooError as error:
        return error.message
    gate = ", and its owner must grant access first" if spec.gated else ""
    return f"model '{name}': {absent[0].filename} of {absent[0].repo} is not on this machine{gate}" if absent else ""


def _lack_of_protocol(name: str) -> str:
    protocol = find_protocol(name)
    adapts = protocol.kind == "lora" or getattr(protocol, "adapters", False)
    missing = adapts and importlib.util.find_spec("peft") is None
    return f"protocol '{name}': peft is not installed (pip install peft)" if missing else ""
