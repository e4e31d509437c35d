"""Archives become folders, and are verified by their files."""

from __future__ import annotations

import dataclasses
import shutil
import zipfile
from typing import TYPE_CHECKING

import pytest
from file_server import whole
from served_dataset import EXPECTED, LABELS, SLIDES, asked_for, contents

from mitozoo.data.describe import describe_dataset
from mitozoo.data.folder import select_data_folder
from mitozoo.download.folder import own_folder
from mitozoo.download.plan import UNFINISHED
from mitozoo.errors import DataError, DownloadError, StorageError
from mitozoo.plugins.remote_files import RemoteFile

if TYPE_CHECKING:
    from mitozoo.plugins.dataset_spec import DatasetSpec


def zipped(path, files: dict[str, bytes]) -> bytes:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path.read_bytes()


@pytest.fixture
def archived(site, spec, tmp_path) -> DatasetSpec:
    """The same slides, in an archive."""
    content = zipped(tmp_path / "slides.zip", {f"top/slides/{name}.tif": data for name, data in SLIDES.items()})
    url = site.play("/slides.zip", whole(content))
    archive = RemoteFile(url=url, path="slides", holds="images", archive="zip", strip=1, only="slides")
    return dataclasses.replace(spec, files=(spec.files[0], archive))


def test_an_archive_becomes_a_folder_and_is_verified_by_its_files(site, get, archived, tmp_path):
    plan = get(archived)
    assert plan.bytes_needed == plan.bytes_to_fetch + plan.steps[1].size
    assert contents(tmp_path / "data") == EXPECTED
    assert not (tmp_path / "data" / UNFINISHED).exists()
    site.requests.clear()
    assert all(step.verified for step in get(archived).steps)
    assert not site.requests
    (tmp_path / "data" / "slides" / "04.tif").write_bytes(bytes(50_004))
    with pytest.raises(DataError, match=r"slides/04\.tif is not what was fetched"):
        get(archived)
    (tmp_path / "data" / "slides" / "04.tif").unlink()
    with pytest.raises(DataError, match=r"slides/04\.tif is no longer in"):
        get(archived)
    shutil.rmtree(tmp_path / "data" / "slides")
    get(archived)
    assert contents(tmp_path / "data") == EXPECTED


def test_archives_of_the_published_repositories_become_what_the_plugins_read(site, get, tmp_path):
    import mitozoo_plugin_atnorm
    import mitozoo_plugin_tupac16_al

    def served(spec, name: str, files: dict[str, bytes]):
        content = zipped(tmp_path / "repository.zip", {f"{name}/{path}": data for path, data in files.items()})
        url = site.play(f"/{name}.zip", whole(content))
        return dataclasses.replace(spec, files=[dataclasses.replace(spec.files[0], url=url)])

    tables = {
        f"TUPAC_AL/{kind}_ground_truth/01/0{n}.csv": b"5,6\n" for kind in ("mitoses", "nonmitoses") for n in (1, 2)
    }
    tupac = served(mitozoo_plugin_tupac16_al.TUPAC16_AL, "TUPAC16-e9ba", tables | {"README.md": b"x", "a:b": b"x"})
    get(tupac, folder=own_folder(tupac))
    assert describe_dataset(tupac, select_data_folder(tupac, None))["classes"]["positive"] == 2

    patches = {f"AtNorM-Br/{label}/1.png": b"png" for label in ("Atypical", "Normal")}
    litter = {"AtNorM-Br/.DS_Store": b"x", "AtNorM-MD/Normal/1.png": b"x", "__MACOSX/AtNorM-Br/._1.png": b"x"}
    atnorm = served(mitozoo_plugin_atnorm.ATNORM_BR, "AMi-Br_Benchmark-3acf", patches | litter)
    get(atnorm, folder=own_folder(atnorm), labels_only=True)  # the folders of its patches are its labels
    assert describe_dataset(atnorm, select_data_folder(atnorm, None))["classes"]["positive"] == 1
    assert contents(own_folder(atnorm)) == patches


def test_another_version_by_now_is_told(get, spec):
    get(labels_only=True)
    newer = dataclasses.replace(spec, files=[dataclasses.replace(spec.files[0], sha256="0" * 64)])
    with pytest.raises(DataError, match=r"cells\.csv is as it was fetched, and another version is published by now"):
        get(newer)


def test_an_archive_that_was_unpacked_by_hand_is_taken_as_it_is(site, get, archived, tmp_path):
    (tmp_path / "data" / "slides").mkdir(parents=True)
    (tmp_path / "data" / "slides" / "00.tif").write_bytes(SLIDES["00"])
    plan = get(archived)
    assert (plan.steps[1].there, plan.steps[1].verified) == (True, False)
    assert set(asked_for(site)) == {"/cells.csv"}


def test_a_hostile_archive_leaves_nothing(site, get, archived, tmp_path):
    site.play("/slides.zip", whole(zipped(tmp_path / "evil.zip", {"top/slides/00.tif": b"1", "top/../../evil": b"1"})))
    with pytest.raises(DownloadError, match="leads out of its folder"):
        get(archived)
    assert contents(tmp_path / "data") == {"cells.csv": LABELS}
    assert not (tmp_path / "data" / UNFINISHED).exists()
    assert not list(tmp_path.rglob("evil"))


def test_an_archive_too_large_for_the_disk_is_kept_for_the_next_time(site, get, archived, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("mitozoo.download.fetch.free_bytes", lambda folder: 1000)
        with pytest.raises(StorageError, match="does not fit the disk"):
            get(archived)
    # The table comes beside it, and may have been stopped as well.
    assert contents(tmp_path / "data").keys() <= {"cells.csv"}
    site.requests.clear()
    get(archived)
    assert contents(tmp_path / "data") == EXPECTED
    assert not asked_for(site)["/slides.zip"]
