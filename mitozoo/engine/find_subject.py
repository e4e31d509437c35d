"""What an evaluation is about, refused where its protocol cannot be asked of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mitozoo.engine.find_model import find_model
from mitozoo.engine.subject import BroughtEmbeddings, RegisteredModel
from mitozoo.errors import ProtocolError

if TYPE_CHECKING:
    from mitozoo.engine.request import Request
    from mitozoo.protocols.spec import Protocol

INSTEAD = "Use --protocol linear-probe."


def find_subject(request: Request, protocol: Protocol) -> RegisteredModel | BroughtEmbeddings:
    """Return the model or the embeddings that a request names; no network is loaded.

    Raises:
        MitozooError: there is none such, or the protocol trains a network where there is none to train.
    """
    if request.model is not None:
        return RegisteredModel(find_model(request.model), request.weights)
    from mitozoo.embeddings.table import read_embeddings

    assert request.embeddings is not None
    if protocol.trains_network:
        raise ProtocolError(
            f"protocol '{protocol.name}' trains the network, and a file of embeddings has none", hint=INSTEAD
        )
    return BroughtEmbeddings(request.embeddings, read_embeddings(request.embeddings))


def require_fitting(request: Request, subject: RegisteredModel | BroughtEmbeddings, protocol: Protocol) -> None:
    """Raise `ProtocolError` where a protocol that trains the network cannot: what is asked of it is not its own way."""
    if not protocol.trains_network:
        return
    if request.batch_size is not None:
        raise ProtocolError(
            f"protocol '{protocol.name}' states its own batch size, since that changes its numbers",
            hint=f"Say --set batch_size={request.batch_size}, which makes another protocol of it.",
        )
    if request.compiled:
        raise ProtocolError(
            f"protocol '{protocol.name}' trains the network, and --compile is for networks that only embed",
            hint="Leave it out.",
        )
    if isinstance(subject, RegisteredModel) and subject.spec.isolate:
        raise ProtocolError(
            f"protocol '{protocol.name}' trains the network, and model '{subject.name}' runs in an "
            "environment of its own, where it can only embed patches",
            hint=INSTEAD,
        )
