"""What a user asks of an evaluation, checked before anything is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from mitozoo.errors import MitozooError, ProtocolError
from mitozoo.shared import is_url

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mitozoo.data.treatments import Treatment
    from mitozoo.results.conditions import Conditions

PRECISIONS = ("auto", "fp32", "fp16", "bf16")
GROUPS = ("", "image")
CONTROLS = ("auto", "labels", "full")
FRACTION_DIGITS = 6  # significant ones, so that a fraction and the name of its row say the same


@dataclass(frozen=True)
class Request:
    """The arguments of `mitozoo eval`, with their defaults; paths and settings may be given as text or as values.

    Attributes:
        model: name of a registered model, or its place (see `find_model`); None where `embeddings` are brought.
        dataset: name of a registered dataset.
        data: the dataset's folder; None: the one that it makes itself.
        protocol: name of a protocol.
        settings: parameter -> value as text; changes the protocol's hash and name.
        fractions: label budgets, shares of the training cells.
        seeds: how many seeds, from 0.
        folds: only the first so many outer folds.
        limit: only so many cells, in whole groups; marked, never to be submitted.
        split: recipe of the outer folds in place of the protocol's (see `SplitRecipe`).
        domain: the domain that such a split goes by.
        test_on: further datasets; training sees all of `dataset`, and all cells of these are tested.
        despite_shared_cases: test on relatives too of which nothing tells which cases they share; marked.
        test_data: name of such a dataset -> its folder.
        crop_um: side of the window in place of the protocol's, um.
        label_noise: share of the training labels that are flipped.
        stain: stain normalisation of every patch: 'none', 'macenko' or 'reinhard'.
        perturb: what is done to the test cells, each scored beside the untouched ones: 'blur', 'jpeg=20' and so on.
        device: 'auto', 'cuda', 'mps' or 'cpu'.
        precision: 'auto', 'fp32', 'fp16' or 'bf16'.
        deterministic: allow only operations that give the same bytes each time on the same device.
        compiled: let torch.compile make the network, which embeds faster then, with roundings of its own.
        batch_size: cells at once; None: by device.
        negatives: 'hard', 'other' or 'all'.
        group: 'image' to divide a case's images between training and test, which are not independent; marked.
        mpp: microns per pixel of every slide, in place of what its file or the dataset states.
        skip_unreadable: leave out, and record, cells whose slide cannot be read.
        embeddings: a file of embeddings, in place of a model.
        controls: 'full' adds controls that see the image, 'labels' has those alone that do not; 'auto': full on all of
            `demo`.
        weights: the user's own copy of the model's weight file; None: where its source finds it.
        out: folder of the runs; given a URL, the local folder in which its runs are worked on.
        shared_runs: the URL that `out` was; '' where runs stay on this machine.
    """

    model: str | None
    dataset: str
    data: Path | None = None
    protocol: str = "linear-probe"
    settings: Mapping[str, str] = field(default_factory=dict)
    fractions: tuple[float, ...] = (1.0,)
    seeds: int = 1
    folds: int | None = None
    limit: int | None = None
    split: str | None = None
    domain: str = ""
    test_on: tuple[str, ...] = ()
    test_data: Mapping[str, Path] = field(default_factory=dict)
    despite_shared_cases: bool = False
    crop_um: float | None = None
    label_noise: float = 0.0
    stain: str = "none"
    perturb: tuple[str, ...] = ()
    device: str = "auto"
    precision: str = "auto"
    deterministic: bool = False
    compiled: bool = False
    batch_size: int | None = None
    negatives: str = "hard"
    group: str = ""
    mpp: float | None = None
    skip_unreadable: bool = False
    embeddings: Path | None = None
    controls: str = "auto"
    weights: Path | None = None
    out: Path = Path("runs")
    shared_runs: str = ""

    def __post_init__(self) -> None:
        if is_url(self.out):
            from mitozoo.results.shared_runs import front_of

            object.__setattr__(self, "shared_runs", str(self.out))
            object.__setattr__(self, "out", front_of(self.shared_runs))
        for name in ("data", "embeddings", "weights", "out"):
            if (path := getattr(self, name)) is not None:
                object.__setattr__(self, name, Path(path))
        object.__setattr__(self, "settings", {key: _as_text(value) for key, value in self.settings.items()})
        fractions = tuple(float(f"{fraction:.{FRACTION_DIGITS}g}") for fraction in self.fractions)
        object.__setattr__(self, "fractions", fractions)
        if (self.model is None) == (self.embeddings is None):
            raise MitozooError(
                "an evaluation needs a model, or embeddings in place of one",
                hint="Say --model NAME (see mitozoo models) or --embeddings FILE.",
            )
        if self.weights is not None and self.model is None:
            raise MitozooError("--weights are a model's, and --embeddings stand in place of one", hint="Leave one out.")
        if not self.fractions or not all(0 < fraction <= 1 for fraction in self.fractions):
            raise ProtocolError(
                f"fractions are {', '.join(f'{f:g}' for f in self.fractions)}; each must be above 0 and at most 1"
            )
        for name in ("seeds", "folds", "limit", "batch_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ProtocolError(f"{name.replace('_', '-')} is {value}; it must be at least 1")
        if not 0 <= self.label_noise < 0.5:
            raise ProtocolError(f"label-noise is {self.label_noise:g}; it must be at least 0 and below 0.5")
        if self.crop_um is not None and not 4 <= self.crop_um <= 1000:
            raise ProtocolError(f"crop-um is {self.crop_um:g}; it must lie between 4 and 1000 microns")
        if self.test_on and self.split is not None:
            raise ProtocolError("--test-on trains on all of one dataset and needs no --split", hint="Leave one out.")
        if strangers := sorted(set(self.test_data) - set(self.test_on)):
            raise ProtocolError(f"--test-data names '{strangers[0]}', which --test-on does not")
        if self.split is not None or self.domain or self.stain != "none":
            _ = self.conditions  # which refuses what cannot be meant; imported where it is needed only
        if self.perturb:
            _ = self.perturbations
        if self.controls not in CONTROLS:
            raise ProtocolError(f"controls is '{self.controls}'; it must be one of {', '.join(CONTROLS)}")
        if self.precision not in PRECISIONS:
            raise ProtocolError(f"precision is '{self.precision}'; it must be one of {', '.join(PRECISIONS)}")
        if self.group not in GROUPS:
            raise ProtocolError(
                f"group is '{self.group}'; it may be 'image', in place of the case or slide that the dataset names"
            )
        if self.mpp is not None and not 0.01 <= self.mpp <= 20:
            raise ProtocolError(f"mpp is {self.mpp:g}; microns per pixel lie between 0.01 and 20")

    @property
    def conditions(self) -> Conditions:
        """What changes the whole run, but no protocol's hash."""
        from mitozoo.data.folds import SplitRecipe
        from mitozoo.data.treatments import stain_normalisation
        from mitozoo.results.conditions import Conditions

        stain_normalisation(self.stain)
        if self.split is not None or self.domain:
            SplitRecipe(self.split or "auto", 2, 0, self.domain)
        return Conditions(
            split=self.split, domain=self.domain, trained_on=self.dataset if self.test_on else "",
            crop_um=self.crop_um, label_noise=float(self.label_noise), stain=self.stain,
        )  # fmt: skip

    @property
    def perturbations(self) -> tuple[Treatment, ...]:
        """What is done to the test cells, each once, in the order given."""
        from mitozoo.data.treatments import parse_perturbation

        return tuple(dict.fromkeys(parse_perturbation(text) for text in self.perturb))


def _as_text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
