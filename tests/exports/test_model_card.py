"""The card's front matter is what the hub's own parser reads, and its BibTeX what another program parses."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest
from huggingface_hub import ModelCard
from pybtex.database import parse_string

from mitozoo.exports.citations import Used, bibtex, everything_used
from mitozoo.exports.model_card import METRICS, mitozoo_version, model_card
from mitozoo.results.result import Result

EVIL = 'x]"><script>alert(1)</script>}\n---\n```\n| \\input{/etc/passwd} % &'


@pytest.fixture(scope="module")
def result(run) -> Result:
    return Result.read(run)


def changed(result: Result, **parts) -> Result:
    document = json.loads(json.dumps(result.document))
    for part, values in parts.items():
        document[part] = document[part] | values
    return dataclasses.replace(result, document=document)


def test_the_hubs_own_parser_reads_the_numbers(result):
    data = ModelCard(model_card(result)).data
    assert data.model_name == "steady"
    summary = result.document["summary"][0]["metrics"]
    assert {one.metric_type for one in data.eval_results} == {identifier for identifier, _ in METRICS.values()}
    for one in data.eval_results:
        [name] = [name for name, (identifier, _) in METRICS.items() if identifier == one.metric_type]
        assert one.metric_value == summary[name]["mean"]
        assert one.metric_args == {"ci_low": summary[name]["ci_low"], "ci_high": summary[name]["ci_high"]}
        assert (one.task_type, one.dataset_type, one.dataset_split) == ("image-classification", "tiny", "test")
        assert one.dataset_args["cells_sha256"] == result.document["dataset"]["cells_sha256"]
        assert one.dataset_args["protocol_hash"] == result.document["protocol"]["hash"]
        assert one.dataset_args["label_fraction"] == 1
        assert one.dataset_args["marks"] == ["synthetic data"]
    auroc = next(one for one in data.eval_results if one.metric_type == "roc_auc")
    assert auroc.metric_value > 0.5


def test_a_card_can_be_edited_and_saved_by_the_hubs_client(result, tmp_path):
    card = ModelCard(model_card(result))
    card.data.license = "mit"
    card.save(tmp_path / "README.md")
    again = ModelCard.load(tmp_path / "README.md")
    assert again.data.license == "mit"
    assert again.data.eval_results == card.data.eval_results


def test_hostile_names_stay_text(result):
    evil = changed(result, model={"name": EVIL, "reference": EVIL}, dataset={"name": EVIL, "reference": EVIL})
    text = model_card(evil)
    data = ModelCard(text).data
    assert data.model_name == EVIL
    assert {one.dataset_name for one in data.eval_results} == {EVIL}
    body = ModelCard(text).text
    assert "<script" not in body.split("```bibtex")[0]
    assert body.count("```") == 2  # the block that holds the references, opened and closed
    entries = parse_string(body.split("```bibtex\n")[1].split("```")[0], "bibtex").entries
    assert len(entries) == 3


def test_a_run_that_could_fit_nothing_has_no_block(result):
    nothing = dataclasses.replace(result, document=result.document | {"summary": []})
    text = model_card(nothing)
    assert not text.startswith("---")
    assert "No row of this run could be fitted." in text


def fields(used: list[Used]) -> dict[str, dict[str, str]]:
    return {key: dict(entry.fields) for key, entry in parse_string(bibtex(used), "bibtex").entries.items()}


def test_an_arxiv_address_gives_number_year_and_doi():
    [entry] = fields(
        [Used("model", "virchow2", "https://arxiv.org/abs/2408.00738", "mitozoo-plugin-virchow 1.0.0")]
    ).values()
    assert entry == {
        "title": "{virchow2}", "eprint": "2408.00738", "archiveprefix": "arXiv", "year": "2024",
        "doi": "10.48550/arXiv.2408.00738", "url": "https://arxiv.org/abs/2408.00738",
        "note": "model, mitozoo-plugin-virchow 1.0.0",
    }  # fmt: skip


@pytest.mark.parametrize(
    "reference", ["https://doi.org/10.1038/s41597-019-0290-4", "https://dx.doi.org/10.1038/s41597-019-0290-4"]
)
def test_a_doi_is_one(reference):
    [entry] = fields([Used("dataset", "ccmct", reference)]).values()
    assert entry == {"title": "{ccmct}", "doi": "10.1038/s41597-019-0290-4", "url": reference, "note": "dataset"}


def test_other_addresses_and_words():
    found = fields(
        [Used("model", "a_b", "https://sophont.med/blog/x_y?a=1&b={2}"), Used("dataset", "own", "cells_of_mine.csv")]
    )
    assert found["model-a-b"] == {
        "title": "{a\\_b}", "url": "https://sophont.med/blog/x_y?a=1&b=%7B2%7D", "note": "model",
    }  # fmt: skip
    assert found["dataset-own"] == {"title": "{own}", "howpublished": "cells\\_of\\_mine.csv", "note": "dataset"}


def test_nothing_is_invented():
    """A thing without a source is no entry, and no paper has an author that its record does not name."""
    text = bibtex([Used("model", "embeddings:mine", ""), Used("model", "uni", "https://doi.org/10.1/x")])
    assert text.startswith("% model embeddings:mine: its record names no source")
    assert "author" not in text


def test_everything_that_a_run_used(result):
    used = everything_used(result.document, mitozoo_version(result.folder))
    assert [(one.role, one.name) for one in used] == [("model", "steady"), ("dataset", "tiny"), ("software", "mitozoo")]
    entries = parse_string(bibtex(used), "bibtex").entries
    own = entries["software-mitozoo"].fields
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", own["version"])
    assert own["title"].startswith("mitozoo: Model zoo and benchmark")


def test_protocols_bring_their_sources(result):
    leaking = changed(result, protocol={"name": "ganz2025-inferred-grouped@1+inner_folds=3"})
    sources = [one.reference for one in everything_used(leaking.document) if one.role == "protocol"]
    assert sources == ["https://doi.org/10.1007/978-3-658-47422-5_15", "https://doi.org/10.59275/j.melba.2026-a3eb"]
    entries = parse_string(bibtex(everything_used(leaking.document)), "bibtex").entries
    assert {
        "protocol-ganz2025-inferred-grouped-1-inner-folds-3",
        "protocol-ganz2025-inferred-grouped-1-inner-folds-3-2",
    } < set(entries)


def test_datasets_that_were_tested_on(result):
    """Documents of earlier versions do not say where such a dataset is described."""
    tested_on = [{"name": "b", "plugin": "p", "version": "2"}, {"name": "c", "reference": "https://doi.org/10.1234/c"}]
    joined = changed(result, dataset={"name": "a-b-c", "tested_on": tested_on}, conditions={"trained_on": "a"})
    used = [one for one in everything_used(joined.document) if one.role == "dataset"]
    own = result.document["dataset"]
    assert [(one.name, one.version) for one in used] == [
        ("a", f"{own['plugin']} {own['version']}"),
        ("b", "p 2"),
        ("c", ""),
    ]
    assert "% dataset b: its record names no source" in bibtex(used)
    assert fields(used)["dataset-c"]["doi"] == "10.1234/c"


def test_every_source_of_a_protocol_is_of_a_protocol():
    from mitozoo.exports.citations import ARXIV, DOI
    from mitozoo.protocols.presets import PRESETS
    from mitozoo.protocols.references import SOURCES

    assert set(SOURCES) <= set(PRESETS)
    for sources in SOURCES.values():
        assert all(ARXIV.fullmatch(source) or DOI.fullmatch(source) for source in sources)
