"""The options that several commands share, so that each is spelt and explained once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from mitozoo.errors import MitozooError, ProtocolError

Command = TypeVar("Command", bound=Callable[..., Any])


class LocalPath(click.Path):
    """A path on this machine, as a `Path`; a URL is refused, of which a path would make a folder called 's3:'."""

    def __init__(self, *, exists: bool = False, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(exists=exists, file_okay=file_okay, dir_okay=dir_okay, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        from mitozoo.shared import is_url

        if is_url(value):
            raise MitozooError(f"{value} is a URL, where only a path on this machine will do", hint="Name a local one.")
        return super().convert(value, param, ctx)


def _together(*options: Callable[[Any], Any]) -> Callable[[Command], Command]:
    def decorate(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


MODEL_HELP = "Which encoder: see mitozoo models; or timm:NAME, hf:ORG/REPO, clip:ARCH/TAG, FILE.py:NAME."
SEVERAL_HELP = "Several make a run each, and read each patch once."


def _allow_remote_code(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:  # noqa: ARG001
    if wanted:
        from mitozoo.models.permissions import allow_remote_code

        allow_remote_code()


weight_options = _together(
    click.option(
        "--weights", type=LocalPath(), metavar="FILE",
        help="Your own copy of the model's weight file; MITOZOO_WEIGHTS=DIR names a folder of them.",
    ),
    click.option(
        "--trust-remote-code", is_flag=True, expose_value=False, callback=_allow_remote_code,
        help="Let the model's repository run its own code, at the pinned revision.",
    ),
)  # fmt: skip

dataset_options = _together(
    click.option(
        "--dataset", "-d", "--train-on", "dataset", required=True, metavar="NAME",
        help="Which dataset; see mitozoo datasets.",
    ),
    click.option("--data", type=LocalPath(), metavar="DIR", help="The folder of the dataset's files."),
    click.option(
        "--negatives", type=click.Choice(["hard", "other", "all"]), default="hard", show_default=True,
        help="Which cells the positive class is told from.",
    ),
    click.option(
        "--mpp", type=float, metavar="UM",
        help="Microns per pixel of every slide, whatever its file or the dataset states.",
    ),
    click.option(
        "--limit", type=int, metavar="N", help="Only so many cells, in whole groups; the result is marked so."
    ),
    click.option(
        "--skip-unreadable", is_flag=True, help="Leave out cells whose slide cannot be read; the result records them."
    ),
)  # fmt: skip


def _names(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:  # noqa: ARG001
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def names_of_models(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:  # noqa: ARG001
    """Divide names at commas, but not inside the path of a file that is there; each name once."""
    parts, names = (text or "").split(","), []
    while parts:
        taken = next((n for n in range(len(parts), 1, -1) if _in_a_file(",".join(parts[:n]))), 1)
        names.append(",".join(parts[:taken]).strip())
        parts = parts[taken:]
    return tuple(dict.fromkeys(filter(None, names)))


def _in_a_file(name: str) -> bool:
    """Tell whether a text is a single FILE.py:NAME."""
    file, _, within = name.strip().rpartition(":")
    return bool(file) and "," not in within and Path(file).is_file()


def _folders(context: click.Context, parameter: click.Parameter, pairs: tuple[str, ...]) -> dict[str, Path]:  # noqa: ARG001
    folders = {}
    for text in pairs:
        name, equals, folder = text.partition("=")
        if not equals or not name or not folder:
            raise ProtocolError(f"--test-data is '{text}'; it must be NAME=DIR, such as midogpp=data/midogpp")
        folders[name.strip()] = Path(folder)
    return folders


axis_options = _together(
    click.option(
        "--split", type=click.Choice(["official", "grouped", "leave-one-domain-out", "single-domain"]),
        help="Which outer folds, in place of the protocol's.",
    ),
    click.option("--domain", default="", metavar="NAME", help="The domain that such a split goes by, such as tumour."),
    click.option(
        "--test-on", callback=_names, metavar="NAME,NAME",
        help="Train on all of --dataset and test on these; cases that they share are taken out of the training.",
    ),
    click.option(
        "--test-data", multiple=True, callback=_folders, metavar="NAME=DIR", help="Where a dataset of --test-on lies."
    ),
    click.option(
        "--despite-shared-cases", is_flag=True,
        help="Test on relatives too of which nothing tells which cases they share; the result is marked so.",
    ),
    click.option("--crop-um", metavar="UM,UM", help="Side of the window around a cell; several make a run each."),
    click.option(
        "--label-noise", type=float, default=0.0, metavar="SHARE", help="Flip this share of the training labels."
    ),
    click.option(
        "--stain", type=click.Choice(["none", "macenko", "reinhard"]), default="none", show_default=True,
        help="Normalise the stain of every patch.",
    ),
    click.option(
        "--perturb", callback=_names, metavar="NAME,NAME=X",
        help="Score perturbed test cells too: blur, jpeg, hed, mpp, colour, brightness, rotation.",
    ),
)  # fmt: skip

device_options = _together(
    click.option("--device", default="auto", show_default=True, metavar="NAME", help="auto, cuda, mps or cpu."),
    click.option(
        "--precision", type=click.Choice(["auto", "fp32", "fp16", "bf16"]), default="auto", show_default=True,
        help="auto: the authors' own on CUDA, fp32 elsewhere.",
    ),
    click.option(
        "--deterministic", is_flag=True,
        help="The same bytes each time on the same device, slower; another run than without.",
    ),
    click.option(
        "--compile", "compiled", is_flag=True,
        help="Let torch.compile make the network: faster where cells are many, another run than without.",
    ),
    click.option("--batch-size", type=int, metavar="N", help="Cells at once; the default depends on the device."),
)  # fmt: skip


def _folder_or_url(context: click.Context, parameter: click.Parameter, place: str) -> Path | str:  # noqa: ARG001
    """Return a path, or a URL as it is: a path would lose one of its slashes."""
    from mitozoo.shared import is_url

    return place if is_url(place) else Path(place)


runs_option = click.option(
    "--out", callback=_folder_or_url, default="runs", show_default=True, metavar="DIR",
    help="Folder of the runs, or a URL that machines share, such as s3://bucket/runs.",
)  # fmt: skip

group_option = click.option(
    "--group", type=click.Choice(["image"]), callback=lambda context, parameter, value: value or "",
    help="Let the images of a case lie on both sides of the split; the result is marked 'not independent'.",
)  # fmt: skip


def _keep_log(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:  # noqa: ARG001
    if path is not None:
        from mitozoo.cli.events import keep_log

        keep_log(context, path)


def _count_for_prometheus(context: click.Context, parameter: click.Parameter, path: Path | None) -> None:  # noqa: ARG001
    if path is not None:
        from mitozoo.cli.events import count_for_prometheus

        count_for_prometheus(context, path)


log_options = _together(
    click.option(
        "--log", type=LocalPath(dir_okay=False), envvar="MITOZOO_LOG", metavar="FILE",
        expose_value=False, callback=_keep_log, help="Append what happens to FILE, one JSON object a line.",
    ),
    click.option(
        "--prometheus", type=LocalPath(dir_okay=False), envvar="MITOZOO_PROMETHEUS",
        metavar="FILE.prom", expose_value=False, callback=_count_for_prometheus,
        help="Keep counts in a text file for Prometheus' node exporter.",
    ),
)  # fmt: skip

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, and nothing else, on stdout.")
