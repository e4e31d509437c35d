"""Every sort of run in a plan: trainings, image controls, several datasets, shared storage, isolated models."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from bucket_server import bucket, s3_line
from isolated_zoo import isolated_zoo_site, variables
from tiny_plans import TinyPlan, gone, kill

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

__all__ = ["bucket", "isolated_zoo_site", "s3_line"]

pytestmark = pytest.mark.slow

NETWORK = """
import timm, torch
from mitozoo import ModelSpec, Preprocessing

def load():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return timm.create_model("vit_tiny_patch16_224", pretrained=False, img_size=32, patch_size=8, depth=2,
                                 embed_dim=32, num_heads=2, num_classes=0)

transformer = ModelSpec(
    name="transformer", load=load, embed_dim=32, pooling="cls", prefix_tokens=1, precision="fp32", license="MIT",
    reference="https://example.org", preprocessing=Preprocessing(
        size=32, resize="square", resize_to=32, interpolation="bilinear", antialias=True, mean=(0.5,) * 3,
        std=(0.5,) * 3, mpp=None, mpp_basis="none"))
"""
SETTINGS = {"epochs": 4, "learning_rates": "1e-3", "batch_size": 16}
FURTHER = """
settings = { epochs = 4, learning_rates = "1e-3", batch_size = 16 }
folds = 1
[[grid]]
models = ["steady"]
datasets = ["tiny-official"]
perturb = "blur"
controls = "full"
"""


def epochs(plan: TinyPlan) -> list[tuple[str, int]]:
    """Return the epochs that workers told of, oldest call first: of which training, and its number."""
    logs = sorted(plan.runs.glob("plans/*/*/worker-*.jsonl"))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines() if '"epoch"' in line]
    return [(f"{line['run']} {line['task']}", line["number"]) for line in lines if line["event"] == "epoch"]


def wait_for(happened: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not happened():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def test_trainings_go_on_from_their_last_epoch_beside_controls_and_other_datasets(new_plan, tmp_path):
    plan = new_plan(
        "sorts", models=("network.py:transformer",), protocols=("end-to-end-short", "lora"), further=FURTHER,
        execution="workers = 1", variables={"MITOZOO_PLUGINS": "tinyzoo,tinyfaults,controls"},
    )  # fmt: skip
    network = plan.folder / "network.py"
    network.write_text(NETWORK)
    process = plan.start("--json")
    wait_for(lambda: epochs(plan), process)
    kill(process)
    assert gone(plan.workers)
    assert plan.run()["results"]["unfinished"] == 0
    assert len(epochs(plan)) == len(set(epochs(plan))) == 8, "an epoch that was kept is trained again"

    trained = {"model": f"{network}:transformer", "dataset": "tiny", "data": str(plan.data), "settings": SETTINGS}
    asked = [{**trained, "protocol": name, "folds": 1} for name in plan.protocols]
    asked.append({"model": "steady", "dataset": "tiny-official", "perturb": ["blur"], "controls": "full"})
    assert plan.results() == plan.evaluate(tmp_path / "without", asked)


def test_runs_below_a_url_go_on_on_another_machine_also_those_of_isolated_models(
    isolated_zoo_site, bucket, zoo, tmp_path
):
    def machine(name: str) -> TinyPlan:
        own = variables(isolated_zoo_site, tmp_path / name / "home") | {"MITOZOO_SHARED_CACHE": f"{bucket}/cache"}
        return TinyPlan(
            tmp_path / name, isolated_zoo_site.site, zoo, models=("steady", "painter"), protocols=("linear-probe",),
            further="folds = 2", execution="workers = 1", variables=own, url=f"{bucket}/runs",
        )  # fmt: skip

    first, other = machine("first"), machine("other")
    process = first.start("--json")
    wait_for(lambda: "embed" in {line["kind"] for line in first.events("done")}, process)
    kill(process)
    assert other.run()["results"] == {"all": 2, "cached": 0, "done": 2, "unfinished": 0}
    embedded = {
        line["about"].rpartition(" ")[2]: line["key"] for line in other.events("task") if line["kind"] == "embed"
    }
    computed = {line["key"]: line["computed"] for line in other.events("done")}
    assert {model: computed[key] for model, key in embedded.items()} == {"steady": 0, "painter": 168}
    asked = [{"model": name, "dataset": "tiny", "folds": 2, "data": str(zoo)} for name in first.models]
    assert other.results() == first.evaluate(tmp_path / "without", asked)
