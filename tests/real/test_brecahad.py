"""BreCaHAD as it lies here: described, audited, refused by case, and run by image with a mark."""

from __future__ import annotations

import pytest

from mitozoo.engine.audit import audit_dataset
from mitozoo.engine.dataset_audit import AuditRequest
from mitozoo.engine.evaluate import evaluate
from mitozoo.engine.progress import Progress
from mitozoo.engine.verification import verify_run
from mitozoo.errors import SplitError
from mitozoo.results.schema import violations

pytestmark = [pytest.mark.shared, pytest.mark.slow]


@pytest.fixture(scope="module")
def data(shared_data):
    return shared_data / "brecahad"


def test_it_is_audited(data, tmp_path):
    audit = audit_dataset(AuditRequest(dataset="brecahad", data=data), Progress())
    found = {one.kind: one for one in audit.findings}
    assert audit.leaks == 0
    assert "only 1 of the rarer class" in found["no split"].meaning
    assert (found["overlapping crops"].count, found["windows beyond the border"].count) == (19, 7)
    assert found["pixel-identical crops"].count == found["near-identical crops"].count == 0
    assert audit.draw(tmp_path / "sheet.png") > 10


def test_by_case_it_is_refused(data, tmp_path):
    with pytest.raises(SplitError, match=r"5 grouped folds need 5 groups of each class") as refusal:
        evaluate("colour-statistics", "brecahad", data=data, out=tmp_path)
    assert refusal.value.exit_code == 2
    assert "All cells of one class lie in one group" in str(refusal.value.hint)
    assert "--group image" in str(refusal.value.hint)


def test_by_image_it_runs_and_is_marked(data, tmp_path):
    result = evaluate("colour-statistics", "brecahad", data=data, out=tmp_path, group="image", folds=2)
    assert violations(result.document) == []
    assert verify_run(result.folder)
    dataset = result.document["dataset"]
    assert (dataset["cells"], dataset["groups"], dataset["group_level"]) == (35, 6, "image")
    assert "not independent: grouped by image" in result.document["marks"]
