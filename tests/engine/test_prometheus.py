"""The text file for Prometheus: what its own parser reads there is what happened."""

from __future__ import annotations

import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families

from mitozoo.engine import prometheus
from mitozoo.engine.log import heard_by, tell, tell_failure
from mitozoo.engine.progress import Progress
from mitozoo.engine.prometheus import PrometheusFile
from mitozoo.errors import DataError, MitozooError, StorageError


def read(path) -> dict[tuple[str, ...], float]:
    """Return each series as prometheus_client reads it: (name, value of each further label) -> value."""
    found = {}
    for family in text_string_to_metric_families(path.read_text()):
        for sample in family.samples:
            assert sample.labels["writer"] == path.stem
            further = [value for name, value in sorted(sample.labels.items()) if name != "writer"]
            found[sample.name, *further] = sample.value
    return found


def test_what_happened_is_what_the_parser_reads(tmp_path):
    path, progress = tmp_path / "eval.prom", Progress()
    with heard_by(PrometheusFile(path)):
        assert read(path)["mitozoo_failures_total",] == 0  # there from the start
        for _ in range(2):
            with progress.stage('a "stage"\\ of two\nlines'):
                pass
        for cells in (200, 36):
            tell("embedded", cells=cells, of=400)
        for status in ("done", "done", "skipped"):
            tell("row", status=status)
        tell("result")
        tell("task", status="retried")
        tell_failure(DataError("no cells"))
        tell("end", exit_code=3)
    found = read(path)
    assert found.pop(("mitozoo_stage_seconds_total", 'a "stage"\\ of two\nlines')) == pytest.approx(
        sum(progress.seconds.values()), abs=2e-3
    )
    assert found.pop(("mitozoo_updated_timestamp_seconds",)) >= found.pop(("mitozoo_started_timestamp_seconds",)) > 1e9
    assert found == {
        ("mitozoo_cells_embedded_total",): 236, ("mitozoo_rows_total", "done"): 2, ("mitozoo_rows_total", "skipped"): 1,
        ("mitozoo_tasks_total", "retried"): 1, ("mitozoo_runs_total",): 1, ("mitozoo_failures_total",): 1,
        ("mitozoo_exit_code",): 3,
    }  # fmt: skip


def test_files_of_two_commands_share_no_series(tmp_path):
    for name in "ab":
        with heard_by(PrometheusFile(tmp_path / f"{name}.prom")):
            tell("row", status="done")
    samples = [
        (sample.name, tuple(sorted(sample.labels.items())))
        for name in "ab"
        for family in text_string_to_metric_families((tmp_path / f"{name}.prom").read_text())
        for sample in family.samples
    ]
    assert len(samples) == len(set(samples))


def test_a_reader_meets_a_whole_file_at_any_moment_and_no_other_that_ends_in_prom(tmp_path, monkeypatch):
    monkeypatch.setattr(prometheus, "EVERY", 0.0)
    path, stop, met = tmp_path / "eval.prom", threading.Event(), []

    def look():
        while not stop.is_set():
            met.append({one.name for one in tmp_path.iterdir() if one.name.endswith(".prom")})
            assert "mitozoo_exit_code" in path.read_text()  # its last line

    with heard_by(PrometheusFile(path)):
        reader = threading.Thread(target=look)
        reader.start()
        for _ in range(50):
            tell("row", status="done")
        stop.set()
        reader.join()
    assert met
    assert all(names == {"eval.prom"} for names in met)
    assert read(path)["mitozoo_rows_total", "done"] == 50


def test_it_is_not_written_for_every_event_but_at_once_for_a_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(prometheus, "EVERY", 3600.0)
    path = tmp_path / "eval.prom"
    with heard_by(PrometheusFile(path)):
        tell("result")
        assert read(path)["mitozoo_runs_total",] == 0
        tell_failure(DataError("no cells"))
        assert read(path)["mitozoo_runs_total",] == read(path)["mitozoo_failures_total",] == 1


def test_what_cannot_be_written_is_refused_first_and_told_once_later(tmp_path, capsys, monkeypatch):
    with pytest.raises(MitozooError, match=r"files that end in \.prom"):
        PrometheusFile(tmp_path / "eval.txt")
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        PrometheusFile(tmp_path / "file" / "eval.prom")
    monkeypatch.setattr(prometheus, "EVERY", 0.0)
    folder = tmp_path / "folder"
    with heard_by(PrometheusFile(folder / "eval.prom")):
        (folder / "eval.prom").unlink()
        folder.rmdir()
        folder.touch()  # a file where the folder was
        tell("result")
        tell("result")
    assert capsys.readouterr().err.count("is written no more") == 1
