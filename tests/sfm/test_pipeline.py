# SPDX-License-Identifier: MIT
"""An import goes through its stages once, goes on where it stopped, and touches nothing that is not its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from engine.errors import SceneError, UserError
from engine.options import build
from engine.sfm.options import ALL_PAIRS_UP_TO, ImportJob, ImportOptions
from engine.sfm.photos import Photo
from engine.sfm.pipeline import Pipeline, group_by_lens
from engine.sfm.report import ImportReport
from tests.sfm.fake_colmap import FakeColmap

COUNT = 12


class Runner:
    """Runs imports of one folder of photos, each with a fresh `FakeColmap` of the given kind."""

    def __init__(self, tmp_path: Path) -> None:
        self.source, self.scene = tmp_path / "photos", tmp_path / "scene"
        self.source.mkdir()
        for i in range(COUNT):
            Image.new("RGB", (8, 6), (i, 0, 0)).save(self.source / f"{i}.png")
        self.stages: list[str] = []
        self.said: list[str] = []
        self.colmap: FakeColmap | None = None

    def __call__(
        self, kind: type[FakeColmap] = FakeColmap, again: bool = False, **options: object
    ) -> ImportReport:
        job = ImportJob(str(self.source), str(self.scene), build(ImportOptions, options), again=again)
        self.stages, self.said = [], []
        return Pipeline(job, self._hear, self.said.append, lambda *a: self._made(kind(*a))).run()

    def _hear(self, stage: str, done: int, total: int) -> None:
        assert 0 <= done <= total
        if stage not in self.stages:
            self.stages.append(stage)

    def _made(self, colmap: FakeColmap) -> FakeColmap:
        self.colmap = colmap
        return colmap


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    """Imports of twelve photos."""
    return Runner(tmp_path)


class Interrupted(FakeColmap):
    stop_after = 4  # three batches of features, one of matches


def test_an_import_leaves_a_colmap_scene_and_a_report_and_no_work(run):
    report = run()
    assert run.stages == [
        "taking photos",
        "finding features",
        "comparing photos",
        "placing cameras",
        "writing the scene",
    ]
    assert (report.placed, report.photos, report.unplaced) == (COUNT, COUNT, ())
    names = sorted(path.relative_to(run.scene).as_posix() for path in run.scene.rglob("*") if path.is_file())
    model = [f"sparse/0/{name}.bin" for name in ("cameras", "images", "points3D")]
    images = [f"images/{i}.png" for i in range(COUNT)]
    assert names == sorted(["import_report.json", "import_state.json", *model, *images])
    saved = json.loads((run.scene / "import_report.json").read_text())
    assert ImportReport.from_json(saved) == report
    assert set(saved["seconds"]) == {"photos", "features", "matches", "poses"}


def test_unplaced_photos_are_named(run):
    class Some(FakeColmap):
        unplaceable = ("3.png", "10.png")

    assert run(Some).unplaced == ("3.png", "10.png")


def test_an_interrupted_import_goes_on_where_it_stopped(run):
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted)
    run()
    assert run.stages == ["comparing photos", "placing cameras", "writing the scene"]
    pairs = COUNT * (COUNT - 1) // 2
    assert run.colmap.calls == [("match", pairs - 40), ("place", 0)]
    assert run.said == ["The earlier import goes on where it stopped."]


def test_a_finished_import_is_not_repeated_unless_asked(run):
    first = run()
    assert run() == first and run.stages == [] and "--again" in run.said[0]
    run(again=True)
    assert run.stages[0] == "taking photos"


def test_other_options_begin_anew(run):
    with pytest.raises(KeyboardInterrupt):
        run(Interrupted)
    run(quality="low")
    assert run.said == ["The earlier import in this folder is thrown away; a new one begins."]
    assert run.stages[:2] == ["taking photos", "finding features"]


def test_a_finished_import_with_other_options_is_kept_unless_asked(run):
    run()
    with pytest.raises(UserError, match=r"finished import with other options\. .*--again"):
        run(quality="low")
    assert (run.scene / "sparse" / "0" / "cameras.bin").is_file()
    assert run(again=True, quality="low").placed == COUNT


def test_a_damaged_state_begins_anew(run):
    run()
    (run.scene / "import_state.json").write_text("{")
    assert run().placed == COUNT


@pytest.mark.parametrize("again", [False, True])
def test_a_folder_with_other_files_is_refused_and_untouched(run, again):
    run.scene.mkdir()
    (run.scene / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match=r"it holds other files\. Choose a new folder"):
        run(again=again)
    assert [path.name for path in run.scene.iterdir()] == ["thesis.txt"]


def test_files_put_beside_an_import_survive_a_new_one(run):
    run()
    (run.scene / "notes.txt").write_text("mine")
    run(again=True)
    assert (run.scene / "notes.txt").read_text() == "mine"


def test_the_import_of_another_source_is_not_overwritten(run):
    run()
    run.source = run.source.rename(run.source.with_name("others"))
    with pytest.raises(UserError, match=r"holds an import of .*photos, not of .*others"):
        run()


def test_too_few_placed_photos_are_a_failure_with_numbers(run):
    class Two(FakeColmap):
        unplaceable = tuple(f"{i}.png" for i in range(2, COUNT))
        shared_each = 3

    with pytest.raises(SceneError, match=r"Only 2 of 12 photos could be placed: only 0 of them share enough"):
        run(Two)
    assert not (run.scene / "sparse").exists()


def test_a_source_without_photos_is_refused_with_what_is_there(run):
    for photo in run.source.iterdir():
        photo.unlink()
    (run.source / "1.heic").write_bytes(b"x")
    with pytest.raises(SceneError, match=r"at least 3 readable photos .* there are none \(1.heic: HEIC"):
        run()
    run.source = run.source / "1.heic"
    run.scene = run.scene.with_name("second")
    with pytest.raises(SceneError, match="a folder of photos or a video was wanted"):
        run()


def test_straightened_photos_take_the_place_of_the_originals(run):
    run(undistort=True)
    photos = sorted((run.scene / "images").iterdir())
    assert len(photos) == COUNT and all(photo.read_bytes().endswith(b"straight") for photo in photos)
    assert (run.scene / "sparse" / "0" / "cameras.bin").is_file()
    assert not (run.scene / ".import").exists()


def test_many_photos_are_not_all_compared(run, monkeypatch):
    monkeypatch.setattr("engine.sfm.pipeline.ALL_PAIRS_UP_TO", COUNT)
    monkeypatch.setattr("engine.sfm.pairs.FOLLOWING", 1)
    monkeypatch.setattr("engine.sfm.pairs.ALIKE", 1)
    run()
    assert len(run.colmap.data["matched"]) < COUNT * 3
    run(again=True, pairs="all")
    assert len(run.colmap.data["matched"]) == COUNT * (COUNT - 1) // 2
    assert ALL_PAIRS_UP_TO == 150


def _photo(name: str, device: str = "", size: tuple[int, int] = (8, 6)) -> Photo:
    return Photo(name, name, *size, device)


def test_photos_share_a_lens_as_asked_but_never_across_sizes():
    photos = [
        _photo("a/1.jpg", "X"),
        _photo("a/2.jpg", "Y"),
        _photo("b/3.jpg", "X"),
        _photo("b/4.jpg", "X", (6, 8)),
    ]
    sizes = {
        kind: [len(group) for _, group in group_by_lens(photos, kind, "auto")]
        for kind in ("auto", "shared", "folder", "photo")
    }
    assert sizes == {"auto": [2, 1, 1], "shared": [3, 1], "folder": [2, 1, 1], "photo": [1, 1, 1, 1]}


def test_lenses_with_few_photos_get_the_simpler_model():
    many, few = [_photo(f"{i}.jpg") for i in range(12)], [_photo(f"x{i}.jpg", "X") for i in range(3)]
    assert [lens for lens, _ in group_by_lens(many + few, "auto", "auto")] == ["opencv", "simple_radial"]
    assert {lens for lens, _ in group_by_lens(many + few, "auto", "pinhole")} == {"pinhole"}
