"""Whether a run's id is made of what its document says: model, weights, cells, protocol, conditions and precision."""

from __future__ import annotations

import hashlib
from typing import Any

from mitozoo.plugins.record import canonical_json
from mitozoo.results.agreement import agree
from mitozoo.results.run_folder import run_id


def check_identity(document: dict[str, Any]) -> None:
    """Compare the run's id with what it is made of, and that with the rest of the document.

    Raises:
        VerificationError: they differ; the message says where.
    """
    protocol, identity = document["protocol"], document["identity"]
    essence = canonical_json({"version": protocol["version"]} | protocol["parameters"])
    agree("hash of the protocol's parameters", hashlib.sha256(essence.encode()).hexdigest(), protocol["hash"])
    parts = {
        "model": document["model"]["fingerprint"], "weights": document["model"]["weights_sha256"],
        "dataset": document["dataset"]["fingerprint"], "cells": document["dataset"]["cells_sha256"],
        "negatives": document["dataset"]["negatives"], "protocol": protocol["hash"],
        "precision": document["precision"], "conditions": document["conditions"],
        "deterministic": document.get("deterministic", False),
    }  # fmt: skip
    stated = {"deterministic": False} | identity
    for name, value in parts.items():
        if value != stated[name]:
            agree(f"{name} in the run's identity", value, stated[name])
    agree("run_id", run_id(identity), document["run_id"])
