# SPDX-License-Identifier: MIT
from dataclasses import replace

import numpy as np
import pytest

from app.gui.path_store import KEEP_AFTER_S, NAME, PathStore
from app.view.path_files import read_path
from engine.errors import UserError
from tests.app.gui.path_session import line, opened, scene


@pytest.fixture
def stored(tmp_path):
    """A session whose run folder is there, with a path, and its store."""
    session, _ = opened(0.0, 2.0, run_folder=str(tmp_path))
    told = []
    return session, PathStore(session, told.append), tmp_path, told


def rest(store: PathStore) -> None:
    """Let so much time pass that the path is kept, and wait for the file."""
    store.update(0.0)
    store.update(KEEP_AFTER_S)
    if store._writing is not None:
        store._writing.join()


def test_an_edited_path_is_kept_in_the_run_folder_and_found_there(stored):
    session, store, folder, _ = stored
    assert session.path_unsaved
    rest(store)
    assert not session.path_unsaved
    session.path = None
    assert [key.time_s for key in PathStore(session, print).left_here().keys] == [0.0, 2.0]
    assert (folder / NAME).is_file()


def test_a_path_that_could_not_be_kept_is_unsaved(stored):
    session, store, folder, _ = stored
    (folder / NAME).mkdir()
    rest(store)
    assert session.path_unsaved


def test_a_path_is_not_kept_while_it_is_being_edited(stored):
    session, store, _, _ = stored
    for n in range(5):
        session.path = line(0.0, 2.0 + n)
        store.update(0.8 * KEEP_AFTER_S)
    assert store._writing is None


def test_a_path_that_was_closed_is_not_found_again(stored):
    session, store, folder, _ = stored
    rest(store)
    session.path = None
    rest(store)
    assert not (folder / NAME).exists() and store.left_here() is None


def test_a_path_that_came_along_leaves_the_one_there_alone_until_it_is_edited(stored):
    session, store, folder, _ = stored
    (folder / NAME).write_text("another path")
    store.spare()
    rest(store)
    assert (folder / NAME).read_text() == "another path"
    session.path = line(0.0, 3.0)
    rest(store)
    assert len(read_path(folder / NAME, np.eye(4)).path.keys) == 2


def test_a_file_that_a_person_chose_is_what_counts_as_saved(stored):
    session, store, folder, _ = stored
    file = str(folder / "flight.json")
    assert store.write(file, "nerfviewer") == ()
    assert session.path_file == file and not session.path_unsaved
    session.path = line(0.0, 5.0)
    rest(store)
    assert session.path_unsaved, "kept, but not where the person saved it"


def test_another_programs_format_is_written_with_what_it_cannot_hold_and_is_not_the_paths_file(stored):
    session, store, folder, _ = stored
    session.path = session.path.with_style(loop=True)
    file = str(folder / "base.json")
    notes = store.write(file, "instant-ngp")
    assert session.path_file == "" and session.path_unsaved and notes
    path, format, _ = store.read(file)
    assert len(path.keys) == 2 and format == "instant-ngp"


def test_a_spoilt_file_is_told_and_left_where_it_is(stored):
    session, store, folder, told = stored
    session.path = None
    (folder / NAME).write_text("{}")
    assert store.left_here() is None and len(told) == 1
    rest(store)
    assert (folder / NAME).read_text() == "{}"


def test_without_a_scene_or_a_folder_nothing_is_written(tmp_path):
    session, _ = opened(0.0, 1.0, run_folder=str(tmp_path / "not there"))
    store = PathStore(session, print)
    rest(store)
    assert session.path_unsaved and list(tmp_path.iterdir()) == []
    session.scene = None
    with pytest.raises(UserError, match="open a scene first"):
        store.write(str(tmp_path / "x.json"), "nerfviewer")


def test_a_kept_path_is_in_the_coordinates_of_the_dataset(stored):
    session, store, folder, _ = stored
    session.scene = replace(scene(run_folder=str(folder), scale=3.0))
    rest(store)
    assert read_path(folder / NAME, np.eye(4)).path.keys[1].position[0] == pytest.approx(6.0)
