"""The protocols that mitozoo ships, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo.errors import UnknownNameError
from mitozoo.protocols.fine_tune import EndToEnd
from mitozoo.protocols.knn import Knn
from mitozoo.protocols.last_blocks import LastBlocks
from mitozoo.protocols.linear_probe import LinearProbe
from mitozoo.protocols.lora import Lora
from mitozoo.protocols.replications import REPLICATIONS
from mitozoo.protocols.simpleshot import SimpleShot

if TYPE_CHECKING:
    from mitozoo.protocols.spec import Protocol

PRESETS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        LinearProbe(name="linear-probe", version=1, title="Logistic regression on frozen embeddings"),
        Knn(name="knn", version=1, title="Nearest neighbours of frozen embeddings"),
        SimpleShot(name="simpleshot", version=1, title="The nearer class mean of frozen embeddings"),
        EndToEnd(name="end-to-end", version=2, title="The whole network trained, three learning rates"),
        EndToEnd(
            name="end-to-end-short",
            version=2,
            title="The whole network trained for a few epochs, one learning rate; for a quick look",
            learning_rates=(5e-4,),
            epochs=6,
            patience=6,
        ),
        Lora(name="lora", version=1, title="Adapters trained in a frozen network, three learning rates"),
        LastBlocks(name="last-blocks", version=1, title="The last blocks trained, three learning rates"),
        *REPLICATIONS,
    )
}


def find_protocol(name: str) -> Protocol:
    """Return a protocol by its name, with or without '@version'.

    Raises:
        UnknownNameError: there is none of that name or version.
    """
    short, _, version = name.partition("@")
    found = PRESETS.get(short)
    if found is None:
        import difflib

        near = difflib.get_close_matches(short, PRESETS, n=1)
        raise UnknownNameError(
            f"there is no protocol '{name}'" + (f"; did you mean '{near[0]}'?" if near else ""),
            hint="List them: mitozoo protocols",
        )
    if version and version != str(found.version):
        raise UnknownNameError(f"protocol '{short}' is at version {found.version}; version {version} is not shipped")
    return found
