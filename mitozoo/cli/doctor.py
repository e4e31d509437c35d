"""`mitozoo doctor`: is this machine fit, and which gated models can it reach?"""

from __future__ import annotations

import click

from mitozoo.cli.findings import show_report
from mitozoo.cli.options import json_option


@click.command()
@click.option("--offline", is_flag=True, help="Ask no server.")
@json_option
def doctor(*, offline: bool, as_json: bool) -> None:
    """Check this machine: Python, libraries, devices, OpenSlide, disks, plugins, and access to gated models.

    Each line is PASS, WARN or FAIL, with what to do about it. Exit code 1 where something fails.
    """
    from mitozoo.engine.doctor import diagnose

    show_report(diagnose(offline=offline), as_json=as_json)
