# SPDX-License-Identifier: MIT
"""The table of views holds what is known of each photo, sorts it, and becomes a CSV file."""

from __future__ import annotations

import csv
import io
import math

import numpy as np

from app.session import Session
from app.views_table import ViewRow, csv_text, in_order, rows, shared_folder_length
from engine.cameras import Camera
from engine.messages import Evaluated, SceneOpened, Stats, TrainState, ViewInfo
from engine.methods.common import StructureStats
from engine.tally import Tally

UP = np.array([0.0, 0.0, 1.0])


def trained_session() -> Session:
    """Three training views, of which two were seen and one is left out, and a held-out one of the same name."""
    camera = Camera.from_fov(8, 8, 0.8, np.eye(4))
    names = ("view 10", "view 9", "view 2", "view 9")
    views = tuple(ViewInfo(name, camera, i == 3) for i, name in enumerate(names))
    scene = SceneOpened("s", "s", "fake", "svraster", views, 3, (), UP, np.eye(4), 0, "white", 0, "", {})
    tally = Tally(3)
    for view, psnr in ((0, 20.0), (1, 30.0), (0, 24.0)):
        tally.note(view, psnr)
    structure = StructureStats(1, 8, (1,), 1, 1, 1.0)
    stats = Stats(
        TrainState.TRAINING, 3, None, 1.0, 1.0, None, (), 24.0, structure, 0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0,
        tally.copy(frozenset({2})),
    )  # fmt: skip
    evaluated = Evaluated(3, 1.0, 27.0, 0.9, 1, (("view 9", 27.0, 0.9),))
    return Session(scene=scene, stats=stats, evaluated=evaluated, excluded=frozenset({2}))


def test_rows_tell_last_and_mean_quality_and_how_often():
    left_out, second, held_out, first = rows(trained_session())
    assert (first.psnr_last, first.psnr_mean, first.seen) == (24.0, 22.0, 2)
    assert second.psnr_mean == 30.0 and not second.excluded
    assert left_out.excluded and left_out.seen == 0 and math.isnan(left_out.psnr_last)
    assert held_out.held_out_psnr == 27.0 and math.isnan(held_out.psnr_last)


def test_views_stand_in_the_order_of_their_files_whatever_their_use():
    assert [row.index for row in rows(trained_session())] == [2, 1, 3, 0]


def test_a_training_view_never_gets_the_quality_of_a_held_out_one_of_the_same_name():
    assert math.isnan(rows(trained_session())[1].held_out_psnr)


def test_names_sort_as_people_count():
    table = sorted(rows(trained_session()), key=lambda row: row.index)
    assert [row.index for row in in_order(table, "name")] == [2, 1, 3, 0]


def test_what_has_no_number_comes_last_either_way():
    table = rows(trained_session())
    assert [row.index for row in in_order(table, "psnr_mean")] == [0, 1, 2, 3]
    assert [row.index for row in in_order(table, "psnr_mean", True)] == [1, 0, 2, 3]
    assert next(row.index for row in in_order(table, "held_out_psnr", True)) == 3
    assert [row.index for row in in_order(table, "seen", True)] == [0, 1, 2, 3]
    assert [row.index for row in in_order(table, "used")] == [0, 1, 2, 3]


def test_the_csv_holds_every_row_and_leaves_unknown_numbers_empty():
    table = [*sorted(rows(trained_session()), key=lambda row: row.index), ViewRow(4, 'a, "b"', False)]
    read = list(csv.DictReader(io.StringIO(csv_text(table))))
    assert len(read) == 5 and read[4]["name"] == 'a, "b"'
    assert [row["use"] for row in read] == ["train", "train", "left out", "held out", "train"]
    assert read[0]["psnr_mean_db"] == "22.0000" and read[2]["psnr_last_db"] == ""
    assert read[3]["held_out_psnr_db"] == "27.0000" and read[3]["times_seen"] == ""


def test_the_shared_folder_ends_at_a_slash():
    assert shared_folder_length(["images/left/img_1", "images/left/img_2"]) == len("images/left/")
    assert shared_folder_length(["images/le/1", "images/left/1"]) == len("images/")
    assert shared_folder_length(["a1", "a2"]) == shared_folder_length([]) == 0
    assert shared_folder_length(["images/1"]) == len("images/")


def test_without_a_scene_the_table_is_empty():
    assert rows(Session()) == []
