# SPDX-License-Identifier: MIT
"""What the start page knows of scenes: kept between starts, told in words, honest about what is gone."""

from __future__ import annotations

import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.gui.thumbnails import HEIGHT, WIDTH, Thumbnails, fitted
from app.recent import MOST, Recent, RecentList, when

NOW = datetime.datetime(2026, 3, 10, 15, 0)


def before(days: float) -> float:
    return (NOW - datetime.timedelta(days=days)).timestamp()


@pytest.mark.parametrize(
    ("moment", "told"),
    [(0.0, ""), (before(0.02), "today 14:31"), (before(1), "yesterday"), (before(20), "18 Feb"), (before(400), "3 Feb 2025")],
)  # fmt: skip
def test_moments_are_told_as_people_say_them(moment: float, told: str) -> None:
    assert when(moment, NOW) == told


def test_what_was_noted_is_there_at_the_next_start(tmp_path: Path) -> None:
    file = tmp_path / "recent.json"
    first = RecentList(file)
    first.note("scenes/lego", name="lego", opened_at=5.0)
    first.note("scenes/lego", method="svraster", step=5000, psnr=31.2)
    again = RecentList(file)
    [lego, other] = again.of(("scenes/lego", "demo"))
    assert (lego.name, lego.opened_at, lego.state()) == ("lego", 5.0, "SVRaster, step 5,000, 31.2 dB")
    assert (other.title, other.state()) == ("demo", "not trained yet")
    again.forget("scenes/lego")
    assert RecentList(file).of(("scenes/lego",)) == [Recent("scenes/lego")]


def test_only_the_newest_are_remembered(tmp_path: Path) -> None:
    known = RecentList(tmp_path / "recent.json")
    for number in range(MOST + 3):
        known.note(f"scene{number}", opened_at=float(number + 1))
    assert known.of(("scene0",))[0].opened_at == 0.0
    assert known.of((f"scene{MOST + 2}",))[0].opened_at == MOST + 3


@pytest.mark.parametrize(
    "text",
    ["{", '{"version": 99}', '{"version": 1, "scenes": [{"path": 3}]}', '{"version": 1, "scenes": [7]}'],
)
def test_a_file_that_does_not_serve_is_left_aside(tmp_path: Path, text: str) -> None:
    file = tmp_path / "recent.json"
    file.write_text(text)
    known = RecentList(file)
    assert known.of(("demo",)) == [Recent("demo")]
    known.note("demo", step=3)
    assert RecentList(file).of(("demo",))[0].step == 3


def test_a_folder_that_is_gone_is_told_in_a_sentence(tmp_path: Path) -> None:
    assert Recent(str(tmp_path)).gone == "" and Recent("demo").gone == ""
    gone = Recent(str(tmp_path / "moved")).gone
    assert gone.startswith("This folder is gone") and gone.endswith(".")


def test_a_card_goes_on_with_a_run_only_while_that_is_there(tmp_path: Path) -> None:
    one = Recent("demo", run=str(tmp_path), step=9)
    assert not one.trained
    (tmp_path / "run.json").touch()
    assert one.trained and not Recent("demo", run=str(tmp_path)).trained


def test_a_thumbnail_is_the_middle_of_the_picture(tmp_path: Path) -> None:
    picture = np.zeros((400, 1200, 3), np.uint8)
    picture[:, 400:800] = 200  # what is left and right of it does not fit
    thumbnails = Thumbnails(tmp_path)
    assert not thumbnails.has("demo")
    thumbnails.save("demo", picture, wait=True)
    assert thumbnails.has("demo") and [path.suffix for path in tmp_path.iterdir()] == [".png"]
    kept = np.asarray(Image.open(thumbnails.file("demo")))
    assert kept.shape == (HEIGHT, WIDTH, 3) and np.array_equal(kept, fitted(picture))
    assert kept[:, 160].min() == 200 and kept[0, 0, 0] == 0
    thumbnails.forget("demo")
    assert not thumbnails.has("demo")


def test_a_thumbnail_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    Thumbnails(tmp_path / "file").save("demo", np.zeros((4, 4, 3), np.uint8), wait=True)
