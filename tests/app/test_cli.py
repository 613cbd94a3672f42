# SPDX-License-Identifier: MIT
"""The command line: flags from declarations, exit codes, one sentence per error, and what each command leaves behind."""

from __future__ import annotations

import _thread
import io
import json
import signal
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import app.gui
from app import headless_render
from app.cli import main
from app.display import NoWindowError
from app.flags import given, help_text, with_options
from app.view.presets import PRESETS
from engine import options, runs
from engine.datasets.options import SceneOptions
from engine.datasets.scene import View
from engine.errors import CheckpointError
from engine.evaluation import Evaluation
from engine.methods import common
from tests import fakes
from tests.fakes import FakeConfig, FakeMethod, checkpoint_steps

SEEN: dict[str, Any] = {}


def fake_load(path: str, scene_options: SceneOptions, report: Any) -> Any:
    SEEN["scene_options"] = scene_options
    return fakes.load_fake_scene(path, {}, report)


@pytest.fixture(autouse=True)
def fake_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A method called "fake", scenes that need no files, and runs in a folder of the test's own."""
    monkeypatch.setitem(common._METHODS, "fake", ("tests.fakes", "FakeMethod"))
    monkeypatch.setattr("engine.datasets.load_scene", fake_load)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NUMBA_NUM_THREADS", "1")  # so that what --threads sets is undone
    monkeypatch.delenv("NUMBA_NUM_THREADS")
    SEEN.clear()


def train(*arguments: str) -> int:
    return main(["train", "grey", "--method", "fake", *arguments])


def only_run() -> Path:
    (run,) = Path("runs").iterdir()
    return run


# --- train ----------------------------------------------------------------------------------------------------


def test_train_writes_its_numbers_and_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--max-steps", "20", "--json", "out/a.json", "--seed", "3", "--threads", "2") == 0
    report = json.loads(Path("out/a.json").read_text())
    assert set(report) >= {
        "method",
        "scene",
        "device",
        "threads",
        "steps",
        "seconds",
        "voxels",
        "psnr",
        "ssim",
    }
    assert set(report) >= {"cpu_seconds", "load_seconds", "compile_seconds", "eval_seconds", "seed", "curve"}
    assert (report["method"], report["scene"], report["device"], report["threads"]) == (
        "fake",
        "grey",
        "cpu",
        2,
    )
    assert (report["steps"], report["seed"]) == (20, 3)
    assert report["psnr"] == pytest.approx(20.0, abs=0.01)
    assert set(report["curve"][-1]) >= {"seconds", "step", "psnr", "voxels"}
    assert report["curve"][-1]["step"] == 20
    assert checkpoint_steps(only_run()) == [20]
    assert "20 steps" in capsys.readouterr().err


def test_train_ends_after_the_seconds_asked_for_and_evaluates_on_the_way() -> None:
    assert train("--max-seconds", "0.3", "--eval-every", "0.1", "--json", "a.json") == 0
    report = json.loads(Path("a.json").read_text())
    assert 0.3 <= report["seconds"] < 5.0  # a busy machine can make one step long
    points = [point["seconds"] for point in report["curve"]]
    assert points[0] >= 0.1 and np.all(np.diff(points[:-1]) >= 0.099) and points[-1] >= 0.3


def test_options_reach_scene_and_method() -> None:
    assert (
        train("--max-steps", "1", "--downscale", "4", "--rates.density", "0.25", "--levels=7", "--smooth")
        == 0
    )
    assert SEEN["scene_options"].downscale == 4
    spec = runs.open_run(only_run()).spec
    assert spec.options == {"downscale": 4}
    assert (spec.values["rates.density"], spec.values["levels"], spec.values["smooth"]) == (0.25, 7, True)


def test_a_run_is_not_overwritten_but_resumed_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--max-steps", "5", "--out", "run") == 0
    assert train("--max-steps", "9", "--out", "run") == 2
    assert "already holds a run. Add --resume" in capsys.readouterr().err
    assert train("--max-steps", "9", "--out", "run", "--resume", "--json", "a.json") == 0
    report = json.loads(Path("a.json").read_text())
    assert report["steps"] == 9  # in all, not 9 more
    assert [point["step"] for point in report["curve"]] == [5, 9]


def test_resume_without_out_takes_the_newest_run_of_the_scene(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--max-steps", "5", "--resume") == 0
    assert "no run to resume" in capsys.readouterr().err
    assert train("--max-steps", "7", "--resume") == 0
    assert checkpoint_steps(only_run()) == [5, 7]


def test_refining_poses_is_a_set_of_options_that_others_win_over(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {"smooth": True, "levels": 7}
    monkeypatch.setattr(sys.modules["tests"], "REFINE_POSES", wanted, raising=False)
    assert train("--max-steps", "3", "--refine-poses", "--levels", "4") == 0
    spec = runs.open_run(only_run()).spec
    assert (spec.values["smooth"], spec.values["levels"]) == (True, 4)


def test_options_on_resume_take_effect() -> None:
    assert train("--max-steps", "5", "--out", "run") == 0
    assert train("--max-steps", "6", "--out", "run", "--resume", "--rates.density", "0.125") == 0
    assert runs.open_run("run").newest().header["values"]["rates.density"] == 0.125


def test_a_run_is_not_resumed_with_other_options_of_its_scene(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--max-steps", "5", "--out", "run", "--downscale", "2") == 0
    assert train("--max-steps", "6", "--out", "run", "--resume", "--downscale", "4") == 2
    assert "begun with downscale = 2, and 4 was asked for" in capsys.readouterr().err
    assert train("--max-steps", "6", "--out", "run", "--resume", "--downscale", "2") == 0
    assert train("--max-steps", "7", "--out", "run", "--resume") == 0


def test_a_last_checkpoint_that_cannot_be_written_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object) -> None:
        raise CheckpointError("Cannot write it: No space left on device. Free some space.")

    monkeypatch.setattr("engine.checkpoint.save", full)
    assert train("--max-steps", "5") == 1
    last = capsys.readouterr().err.strip().splitlines()[-2]
    assert last.startswith("nerfviewer: The last steps are lost.") and "No space left" in last


def test_a_run_of_another_scene_is_not_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--max-steps", "5", "--out", "run") == 0
    assert main(["train", "other", "--method", "fake", "--out", "run", "--resume"]) == 2
    assert "Choose another --out" in capsys.readouterr().err


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """Python's own SIGINT handler: a shell that starts the tests in the background has it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("hears_ctrl_c")
@pytest.mark.parametrize("again", [False, True])
def test_ctrl_c_saves_evaluates_and_writes_the_numbers(again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if again:  # the second one comes while the held-out views are compared

        def advance(self: Evaluation) -> None:
            _thread.interrupt_main()
            threading.Event().wait(0.3)
            self.per_view = [("", 0.0, 0.0)] * self.total

        monkeypatch.setattr(Evaluation, "advance", advance)
    step = FakeMethod.train_step

    def interrupted_step(self: FakeMethod) -> Any:
        if self.step == 20:
            _thread.interrupt_main()
        return step(self)

    monkeypatch.setattr(FakeMethod, "train_step", interrupted_step)
    assert train("--json", "a.json", "--max-seconds", "20") == 0
    report = json.loads(Path("a.json").read_text())
    assert report["steps"] > 0 and report["seconds"] < 19.0, "it was not interrupted"
    assert (report["psnr"] is None) == again
    assert checkpoint_steps(only_run())[-1] == report["steps"]


def test_a_failing_training_ends_with_its_causes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: FakeMethod) -> None:
        raise ValueError("NaN in the densities")

    monkeypatch.setattr(FakeMethod, "train_step", fail)
    assert train() == 1
    error = capsys.readouterr().err
    assert "Training stopped: ValueError: NaN in the densities" in error
    assert "Traceback" not in error
    assert train("--debug") == 1
    assert "Traceback" in capsys.readouterr().err


# --- errors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "missing"], "Cannot read missing: a scene was wanted there and nothing is."),
        (["train", "grey", "--rates.density", "99"], "Option rates.density must be at most 10, got 99."),
        (["train", "grey", "--downscale", "0"], "Option downscale must be at least 1, got 0."),
        (["train", "grey", "--max-steps", "0"], "--max-steps must be a number above 0, got 0."),
        (["train", "grey", "--max-seconds", "nan"], "--max-seconds must be a number above 0, got nan."),
        (["train", "grey", "--max-seconds", "inf"], "--max-seconds must be a number above 0, got inf."),
        (["train", "grey", "--threads", "0"], "--threads must be a whole number of at least 1, got 0."),
        (["train", "grey", "--threads", "two"], "--threads must be a whole number of at least 1, got two."),
        (["train", "grey", "--preset", "swift"], "fake has no preset 'swift'"),
        (["train", "grey", "--refine-poses"], "--refine-poses needs a method with soft pictures, not fake"),
        (["eval", "nowhere"], "nowhere is not a run folder"),
        (["render", "nowhere", "--spiral", "-o", "a.mp4"], "nowhere is not a run folder"),
        (
            ["render", "run", "-o", "a.mp4"],
            "--fly-along, --path FILE and --view VIEW, got none.",
        ),
        (["render", "run", "--orbit", "--spiral", "-o", "a.mp4"], "got --spiral and --orbit."),
        (["render", "run", "--orbit", "--size", "9", "-o", "a.mp4"], "--size must be WIDTHxHEIGHT"),
        (["render", "run", "--orbit", "--size", "²x9", "-o", "a.mp4"], "--size must be WIDTHxHEIGHT"),
        (["render", "run", "--orbit", "--frames", "0", "-o", "a.mp4"], "--frames must be a number above 0"),
    ],
)
def test_a_users_error_is_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if arguments[0] == "train":
        arguments += ["--method", "fake"]
    assert main(arguments) == 2
    error = capsys.readouterr().err
    last = error.strip().splitlines()[-1]
    assert last.startswith("nerfviewer: ")
    assert sentence in last
    assert "Traceback" not in error
    assert main([*arguments, "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_what_is_no_scene_is_told_before_a_window_opens(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr("app.display.why_no_window", lambda: pytest.fail("a window was wanted"))
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x18ftypmp42")
    assert main([str(tmp_path / "clip.mp4")]) == 2
    assert "but this is a video; choose its frames and poses with" in capsys.readouterr().err


def test_a_run_is_attached_to_in_a_window_and_nothing_else_is(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    train("--max-steps", "2")
    monkeypatch.setattr("app.display.why_no_window", lambda: None)
    opened: list[tuple[Any, dict[str, Any]]] = []
    window = types.SimpleNamespace(run=lambda scene, **options: opened.append((scene, options)) or 0)
    monkeypatch.setattr(app.gui, "window", window, raising=False)
    monkeypatch.setitem(sys.modules, "app.gui.window", window)
    assert main(["--attach", str(only_run())]) == 0
    [(scene, options)] = opened
    assert scene is None and options["follow"] and options["run_folder"] == only_run()
    assert main(["--attach", "nowhere"]) == 2
    assert "nowhere is not a run folder" in capsys.readouterr().err
    assert main(["demo", "--attach", str(only_run())]) == 2
    assert "Leave one of them out" in capsys.readouterr().err
    monkeypatch.setattr("app.display.why_no_window", lambda: "there is no display")
    assert main(["--attach", str(only_run())]) == 2
    assert "none can be opened: there is no display" in capsys.readouterr().err


def test_a_run_that_another_process_trains_is_not_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    train("--max-steps", "2")
    lock = {"host": "elsewhere", "pid": 7, "started": 0.0}
    (only_run() / "training.lock").write_text(json.dumps(lock))
    assert train("--resume", "--max-steps", "4") == 2
    assert "is trained by process 7 on elsewhere" in capsys.readouterr().err
    assert checkpoint_steps(only_run()) == [2]


def test_an_unknown_method_names_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "grey", "--method", "nerf"]) == 2
    assert "choose one of svraster" in capsys.readouterr().err


def test_an_unknown_option_names_the_nearest_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        train("--rates.densty", "1")
    assert end.value.code == 2
    assert "--rates.density" in capsys.readouterr().err


# --- flags ----------------------------------------------------------------------------------------------------


def test_help_shows_every_option_with_its_range(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        train("--help")
    assert end.value.code == 0
    text = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for config in (FakeConfig, SceneOptions):
        for info in options.describe(config):
            assert f"--{info.name.replace('_', '-')}" in text, info.name
    assert "How fast the number grows. 0 to 10." in text
    assert "{mse,l1}" in text


def test_a_flag_that_repeats_a_default_still_counts() -> None:
    import tyro

    from app.command_flags import CommonFlags

    flags = with_options(CommonFlags, FakeConfig)
    argv = ["--rates.density", "0.4", "--no-smooth"]
    values = given(tyro.cli(flags, args=argv), FakeConfig, argv)
    assert values == {"rates.density": 0.4, "smooth": False}


def test_help_tells_range_and_unit() -> None:
    info = options.OptionInfo("a", int, 1, "Size.", minimum=1, maximum=1000000, unit="px")
    assert help_text(info) == "Size. 1 to 1,000,000 px."
    assert help_text(options.OptionInfo("a", float, 1.0, "Size.", minimum=0.5)) == "Size. At least 0.5."


# --- eval, render, bench, doctor --------------------------------------------------------------------------------


def test_eval_prints_and_writes_each_view_and_the_mean(capsys: pytest.CaptureFixture[str]) -> None:
    assert train("--max-steps", "5") == 0
    capsys.readouterr()
    assert main(["eval", str(only_run()), "--json", "e.json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["4.png", "5.png", "mean"]
    report = json.loads(Path("e.json").read_text())
    assert report["psnr"] == pytest.approx(np.mean([view["psnr"] for view in report["views"]]))
    assert report["steps"] == 5


def test_a_name_that_the_code_page_lacks_is_printed_in_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    assert train("--max-steps", "5") == 0
    page = io.BytesIO()
    monkeypatch.setattr(fakes, "View", lambda name, camera: View(f"漢字-{name}", camera))
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(page, encoding="cp1252"))
    assert main(["eval", str(only_run())]) == 0
    sys.stdout.flush()
    assert b"\\u6f22\\u5b57-4.png" in page.getvalue()


@pytest.mark.parametrize("kind", [f"--{name}" for name in PRESETS])
def test_render_writes_the_pictures_asked_for(kind: str) -> None:
    assert train("--max-steps", "5") == 0
    assert main(["render", str(only_run()), kind, "--frames", "3", "--size", "32x18", "-o", "pictures/"]) == 0
    assert len(list(Path("pictures").glob("*.png"))) == 3


def test_render_follows_a_path_file() -> None:
    from app.view.path import CameraPath, Key
    from app.view.path_files import write_path

    assert train("--max-steps", "5") == 0
    keys = [Key(float(i), fakes.camera_at(0.2 * i).world_from_cam, 0.8) for i in range(2)]
    write_path("path.json", CameraPath(keys), np.eye(4))
    run = str(only_run())
    assert main(["render", run, "--path", "path.json", "--fps", "4", "--size", "32x18", "-o", "p/"]) == 0
    assert 4 <= len(list(Path("p").glob("*.png"))) <= 5  # one second at 4 pictures a second


def test_path_tells_of_a_file_and_converts_it(capsys: pytest.CaptureFixture[str]) -> None:
    from app.view.path import CameraPath, Key
    from app.view.path_files import read_path, write_path

    keys = [Key(2.0 * i, fakes.camera_at(0.2 * i).world_from_cam, 0.8) for i in range(3)]
    write_path("path.json", CameraPath(keys), np.eye(4))
    assert main(["path", "path.json", "-o", "ngp.json", "--format", "instant-ngp", "--ngp-scale", "0.5"]) == 0
    said = capsys.readouterr()
    assert said.out == "path.json: nerfviewer, 3 keys, 4 s\n" and "near the keys" in said.err
    assert main(["path", "ngp.json", "--ngp-scale", "0.5", "-o", "ns.json", "--format", "nerfstudio"]) == 0
    assert main(["path", "ns.json", "-o", "back.json"]) == 0
    assert "ns.json: nerfstudio, 3 keys, 4 s, 1280x720, 30 frames/s" in capsys.readouterr().out
    for key, back in zip(keys, read_path("back.json", np.eye(4)).path.keys):
        assert np.allclose(back.world_from_cam, key.world_from_cam) and back.time_s == pytest.approx(
            key.time_s
        )
    assert main(["path", "nothing.json"]) == 2 and main(["path", "ns.json", "--fps", "0"]) == 2


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **functions: Any) -> None:
    """Put a module with some functions in the place of app.<name>."""
    module = types.ModuleType(name)
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, f"app.{name}", module)
    monkeypatch.setattr(sys.modules["app"], name, module, raising=False)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any, dict[str, Any]]]:
    """What the benchmarks were called with: (which, where to, the rest)."""
    calls: list[tuple[str, Any, dict[str, Any]]] = []
    stand_in(
        monkeypatch,
        "bench",
        raster=lambda json_path, **rest: calls.append(("raster", json_path, rest)),
        train=lambda json_path, **rest: calls.append(("train", json_path, rest)),
    )
    return calls


def test_doctor_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, "doctor", main=lambda: 7)
    assert main(["doctor"]) == 7


@pytest.mark.parametrize(
    ("line", "call"),
    [
        ("raster", ("raster", None, {})),
        ("raster --json b.json --runs 3", ("raster", Path("b.json"), {"runs": 3})),
        ("train", ("train", None, {})),
        (
            "train scenes/lego --seconds 3 --seed 4 --json b.json",
            ("train", Path("b.json"), {"scene": "scenes/lego", "seconds": 3.0, "seed": 4}),
        ),
    ],
)
def test_bench_is_handed_what_was_given_and_nothing_else(measured, line: str, call: Any) -> None:
    assert main(["bench", *line.split()]) == 0
    assert measured == [call]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("raster demo", "bench raster takes no scene, got demo. Leave it out."),
        ("raster --seed 0", "bench raster takes no --seed, got 0. Leave it out."),
        ("train --runs 5", "bench train takes no --runs, got 5. Leave it out."),
        ("train --seconds 0", "--seconds must be a number above 0, got 0."),
    ],
)
def test_bench_refuses_what_it_would_not_heed(
    measured, capsys: pytest.CaptureFixture[str], line: str, sentence: str
) -> None:
    assert main(["bench", *line.split()]) == 2
    assert capsys.readouterr().err.strip() == f"nerfviewer: {sentence}"
    assert measured == []


def test_bench_takes_the_flags_that_its_functions_take() -> None:
    import inspect

    from app import bench

    assert set(inspect.signature(bench.raster).parameters) == {"json_path", "runs"}
    assert set(inspect.signature(bench.train).parameters) == {
        "json_path",
        "scene",
        "method",
        "seconds",
        "seed",
        "scene_options",
        "values",
    }


# --- the window and its stand-in --------------------------------------------------------------------------------


def fake_window(monkeypatch: pytest.MonkeyPatch, run: Any) -> None:
    module = types.ModuleType("window")
    module.run = run
    monkeypatch.setenv("DISPLAY", ":77")
    monkeypatch.setitem(sys.modules, "app.gui.window", module)
    monkeypatch.setattr(app.gui, "window", module, raising=False)


def test_without_a_command_the_window_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, dict[str, Any]]] = []
    fake_window(monkeypatch, lambda scene, **rest: calls.append((scene, rest)) or 0)
    assert main(["grey", "--method", "fake", "--levels", "6", "--exit-after", "2", "--present", "copy"]) == 0
    ((scene, rest),) = calls
    assert (scene, rest["exit_after"], rest["present"], rest["run_folder"]) == ("grey", 2.0, "copy", None)
    assert rest["options"] == {"method": "fake", "scene": {}, "values": {"levels": 6}}
    assert main(["--method", "fake"]) == 0
    assert calls[1][0] is None


def test_a_run_folder_opens_as_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[Any, dict[str, Any]]] = []
    assert train("--max-steps", "5", "--out", "run") == 0
    fake_window(monkeypatch, lambda scene, **rest: calls.append((scene, rest)) or 0)
    checkpoint = next(Path("run/checkpoints").glob("*.safetensors"))
    for path in ("run", "run/run.json", str(checkpoint)):
        assert main([path, "--method", "fake"]) == 0
    assert [(scene, rest["run_folder"]) for scene, rest in calls] == [(None, Path("run"))] * 3


@pytest.mark.parametrize("why", ["no display", "no OpenGL"])
def test_without_a_window_it_trains_here_and_writes_a_picture_and_a_video(
    why: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(headless_render, "VIDEO_FRAMES", 3)
    monkeypatch.setattr(headless_render, "VIDEO_SIZE", (64, 36))

    def refuse(*_: object, **__: object) -> int:
        raise NoWindowError("OpenGL 3.3 is missing")

    fake_window(monkeypatch, refuse)
    if why == "no display":
        monkeypatch.setattr(sys, "platform", "linux")
        monkeypatch.delenv("DISPLAY")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert main(["grey", "--method", "fake", "--exit-after", "0.1"]) == 0
    said = capsys.readouterr().err
    assert "There is no window, because" in said
    assert ("neither DISPLAY nor WAYLAND_DISPLAY" in said) == (why == "no display")
    run = only_run()
    assert (run / "picture.png").stat().st_size > 0
    assert (run / "spiral.mp4").stat().st_size > 0
