"""`mitozoo check`: does a model keep the contract, and does it do what its record declares?"""

from __future__ import annotations

import click

from mitozoo.cli.findings import show_report
from mitozoo.cli.options import json_option


@click.command()
@click.argument("name")
@click.option("--offline", is_flag=True, help="Fetch nothing: check with the weights that are here.")
@click.option("--trust-remote-code", is_flag=True, help="Let the model's repository run its own code.")
@json_option
def check(*, name: str, offline: bool, trust_remote_code: bool, as_json: bool) -> None:
    """Check the model NAME: its plugin, its record, its preprocessing and its network, on the CPU.

    Exit code 1 where a check fails, 2 where there is no such model. Warnings fail nothing.
    """
    from mitozoo.plugins.registry import load_registry

    load_registry().model(name)  # a wrong name is told before anything that takes long to import
    if offline:
        import os

        os.environ["HF_HUB_OFFLINE"] = "1"  # read by the hub's client when it is imported
    if trust_remote_code:
        from mitozoo.models.permissions import allow_remote_code

        allow_remote_code()

    from mitozoo.testing import check_model

    show_report(check_model(name), as_json=as_json)
