"""What submitters must say themselves, since no file tells it: contact, pretraining data, use of the test set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mitozoo.errors import MitozooError
from mitozoo.submission.reading import unfit

if TYPE_CHECKING:
    from mitozoo.submission.verdict import Verdict

LONGEST_CONTACT = 200


@dataclass(frozen=True)
class Declaration:
    """What a submitter says.

    Attributes:
        contact: how to be reached: a mail address or an https address.
        pretraining: datasets and cohorts that the model was pretrained on; None: what the model's record says.
        scored: how often the test set was scored on the way to this result, this time among them; None: not said.
        selected_on: whether scores on the test set served to choose anything; None: not said.
        note: anything else, in a few sentences.
    """

    contact: str
    pretraining: tuple[str, ...] | None = None
    scored: int | None = None
    selected_on: bool | None = None
    note: str = ""

    def __post_init__(self) -> None:
        if not reachable(self.contact):
            raise MitozooError(
                "a submission needs a contact", hint="Say --contact with a mail address or an https address."
            )
        if (self.scored is None) != (self.selected_on is None):
            raise MitozooError(
                "use of the test set is declared in part",
                hint="Say both --test-scored N and --selected-on-test or --not-selected-on-test.",
            )
        if self.scored is not None and self.scored < 1:
            raise MitozooError(f"--test-scored is {self.scored}; this result scored the test set once at least")
        for text in (self.note, *(self.pretraining or ())):
            if problem := unfit(text):
                raise MitozooError(f"the declaration holds a text with {problem}")

    def test_set(self) -> dict[str, Any] | None:
        """Return what stands in submission.json of the test set."""
        return None if self.scored is None else {"scored": self.scored, "selected_on": self.selected_on}


def reachable(contact: str) -> bool:
    """Tell whether a text looks like a mail address or an https address."""
    at_sign = contact.count("@") == 1 and all(contact.split("@"))
    one_word = contact.isprintable() and " " not in contact and len(contact) <= LONGEST_CONTACT
    return one_word and (at_sign or contact.startswith("https://"))


def check_declaration(submission: dict[str, Any], verdict: Verdict) -> None:
    """Say what a submission declares of the test set, and whether that leaves it more than self-reported."""
    declared = submission["test_set"]
    if declared is None:
        verdict.doubts.append(
            "self-reported, test labels public: nothing declares how often the test set was scored, nor whether it "
            "served for selection"
        )
        return
    times = "once" if declared["scored"] == 1 else f"{declared['scored']:,} times"
    verdict.checked.append(f"declares that the test set was scored {times}")
    if declared["selected_on"]:
        verdict.remarks.append("declares that the test set served for selection: its numbers are too high by that")
