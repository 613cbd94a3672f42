# SPDX-License-Identifier: MIT
"""Config files: what they may say, what wins, and one sentence with a line for what is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app import config_file
from app.cli import main
from engine import runs
from engine.errors import UserError
from engine.methods import common
from engine.methods.plenoxels.config import PlenoxelsConfig
from engine.methods.svraster import SVRasterConfig
from tests import fakes
from tests.fakes import FakeConfig


@pytest.fixture(autouse=True)
def fake_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method called "fake", scenes that need no files, and runs in a folder of the test's own."""
    monkeypatch.setitem(common._METHODS, "fake", ("tests.fakes", "FakeMethod"))
    monkeypatch.setattr("engine.datasets.load_scene", lambda path, *_: fakes.load_fake_scene(path, {}, print))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")  # so that what `threads` sets is undone
    monkeypatch.delenv("NUMBA_NUM_THREADS")


def said(text: str, config: type = SVRasterConfig, name: str = "a.yaml") -> config_file.Settings:
    Path(name).write_text(text)
    return config_file.settings(config_file.read(Path(name)), config)


def test_dotted_names_and_groups_say_the_same() -> None:
    nested = said(
        "rates:\n  density: 0.25\n  half-life: 1e2\nadapt: {max_voxels: 2000}\ndownscale: 4\nmax_steps: 7\n"
    )
    dotted = said(
        '{"rates.density": 0.25, "rates.half_life": 1e2,\n\t"adapt.max_voxels": 2000, "downscale": 4, "max_steps": 7}',
        name="a.json",
    )
    assert nested == dotted
    assert nested.method == {"rates.density": 0.25, "rates.half_life": 100.0, "adapt.max_voxels": 2000}
    assert (nested.scene, nested.flags) == ({"downscale": 4}, {"max_steps": 7})


def test_a_list_of_numbers_is_what_a_text_of_numbers_is() -> None:
    assert said("schedule:\n  resolutions: [64, 128]\n", PlenoxelsConfig).method == {
        "schedule.resolutions": "64 128"
    }


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("seed: 1\nrates:\n  densty: 1\n", "a.yaml, line 3: there is no option rates.densty. Did you mean rates.density?"),
        ("rates:\n  density: fast\n", "a.yaml, line 2: option rates.density must be a number, got 'fast'."),
        ("\nadapt.max_voxels: 12\n", "a.yaml, line 2: option adapt.max_voxels must be at least 1000, got 12."),
        ("seed: [1]\n", "a.yaml, line 1: option seed must be a whole number, got [1]."),
        ("max_seconds: true\n", "a.yaml, line 1: option max_seconds must be a number, got True."),
        ("rates.density:\n", "a.yaml, line 1: option rates.density must be a number, got nothing."),
        ("rates: 1\n", "a.yaml, line 1: rates is a group of options, such as rates.density; write them below it."),
        ("seed: 1\nmodel: {}\nseed: 2\n", "a.yaml, line 3: seed was said in line 1 already. Keep one of them."),
        ("- seed\n", "a.yaml must hold options by name, such as seed: 1, got a sequence."),
        ("seed: 1\nrates: [\n", "a.yaml, line 3 is no YAML: expected the node content, but found"),
        ("x: !!python/object/apply:os.getcwd []\n", "a.yaml, line 1 is no YAML: could not determine a constructor for the tag"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_its_line(text: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        said(text)
    assert str(caught.value).startswith(sentence)


def test_a_file_that_is_not_there_or_no_json_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "grey", "--config", "no.yaml"]) == 2
    assert "Cannot read the config file no.yaml: No such file or directory." in capsys.readouterr().err
    Path("a.json").write_text("{'seed': 1}")
    assert main(["train", "grey", "--config", "a.json"]) == 2
    assert "a.json is no JSON: Expecting property name" in capsys.readouterr().err


def test_the_command_line_wins_over_the_file_and_the_file_over_defaults() -> None:
    Path("a.yaml").write_text(
        "scene: grey\nmethod: fake\nmax_steps: 9\nseed: 4\nout: run\nlevels: 7\nrates.density: 0.25\nsmooth: true\n"
    )
    assert main(["train", "--config", "a.yaml", "--max-steps", "3", "--rates.density", "0.125"]) == 0
    run = runs.open_run("run")
    assert (run.spec.method, run.spec.seed, run.newest().header["step"]) == ("fake", 4, 3)
    values = run.spec.values
    assert (values["levels"], values["rates.density"], values["smooth"]) == (7, 0.125, True)


def test_several_processes_are_started_with_the_words_of_the_command_line(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started: list[object] = []
    monkeypatch.setattr("app.processes.start", lambda *words: started.append(words) or 0)
    Path("a.yaml").write_text("scene: grey\nmethod: fake\nprocesses: 2\nrates.density: 0.25\n")
    assert main(["train", "--config", "a.yaml", "--max-steps", "3"]) == 0
    assert started == [(["train", "--config", "a.yaml", "--max-steps", "3"], 2)]


def test_a_scene_on_the_command_line_takes_the_place_of_the_files() -> None:
    Path("a.yaml").write_text("scene: missing\nmethod: fake\nmax_steps: 1\nout: run\n")
    assert main(["train", "grey", "--config=a.yaml"]) == 0
    assert runs.open_run("run").spec.scene.endswith("grey")


def test_training_without_any_scene_asks_for_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--method", "fake"]) == 2
    assert "train needs a scene" in capsys.readouterr().err


def test_a_run_can_be_repeated_from_the_config_that_it_saved() -> None:
    first = [
        "train",
        "grey",
        "--method",
        "fake",
        "--max-steps",
        "5",
        "--seed",
        "3",
        "--downscale",
        "2",
        "--levels",
        "6",
    ]
    assert main([*first, "--out", "one"]) == 0
    assert main(["train", "--config", "one/config.json", "--max-steps", "5", "--out", "two"]) == 0
    one, two = runs.open_run("one"), runs.open_run("two")
    assert one.spec == two.spec and one.spec.values["levels"] == 6
    assert float(one.newest().tensors["value"]) == float(two.newest().tensors["value"])
    assert (
        main(
            [
                "train",
                "grey",
                "--method",
                "fake",
                "--resume",
                "--out",
                "one",
                "--max-steps",
                "6",
                "--rates.density",
                "1",
            ]
        )
        == 0
    )
    assert json.loads(Path("one/config.json").read_text())["rates"] == {"density": 1.0}, "as it stands now"


def test_the_documents_template_is_taken_as_far_as_it_means_something_here() -> None:
    found = said(
        "model:\n  voxel_resolution: 512\n  feature_channels: 32\n  max_subdivision_level: 8\n"
        "training:\n  epochs: 1000\n  learning_rate: 1e-3\n  batch_size: 4\n"
        "loss:\n  rgb_weight: 2.0\n  ssim_weight: 0.1\n  depth_weight: 0.2\n"
    )
    assert found.flags == {"max_epochs": 1000}
    assert found.method == {"objective.views_per_step": 4, "losses.ssim": 0.05, "losses.sparse_depth": 0.1}
    for name in (
        "model.voxel_resolution",
        "model.feature_channels",
        "model.max_subdivision_level",
        "training.learning_rate",
    ):
        assert name in found.warning
    assert "epochs" not in found.warning and "\n" not in found.warning
    fake = said("training:\n  batch_size: 4\n", FakeConfig)
    assert fake.method == {} and "training.batch_size" in fake.warning


def test_epochs_are_rounds_over_the_training_photos() -> None:
    assert main(["train", "grey", "--method", "fake", "--max-epochs", "3", "--out", "run"]) == 0
    assert runs.open_run("run").newest().header["step"] == 12, "of four photos"


@pytest.mark.parametrize("spelling", [["--resume", "run"], ["--resume_from", "run"], ["--resume-from={}"]])
def test_a_run_is_continued_by_its_name_alone(spelling: list[str]) -> None:
    assert main(["train", "grey", "--method", "fake", "--max-steps", "4", "--out", "run"]) == 0
    file = runs.open_run("run").checkpoints()[0][1]
    assert (
        main(["train", *(word.format(file) for word in spelling), "--max-steps", "6", "--rates.density", "1"])
        == 0
    )
    newest = runs.open_run("run").newest()
    assert newest.header["step"] == 6 and newest.header["values"]["rates.density"] == 1.0


def test_what_is_no_checkpoint_or_no_longer_the_newest_is_not_continued(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("checkpoint.pth").write_bytes(b"")
    assert main(["train", "--resume_from", "checkpoint.pth"]) == 2
    assert "checkpoint.pth is no checkpoint of nerfviewer" in capsys.readouterr().err
    for steps in ("2", "4"):
        assert (
            main(["train", "grey", "--method", "fake", "--max-steps", steps, "--out", "run", "--resume"]) == 0
        )
    oldest = runs.open_run("run").checkpoints()[-1][1]
    assert main(["train", "--resume", str(oldest)]) == 2
    assert "is not the newest checkpoint of run" in capsys.readouterr().err
