# SPDX-License-Identifier: MIT
"""The command line: nerfviewer [SCENE] | import | train | eval | render | path | export | bench |
diagnose | doctor.

Each command is a dataclass of flags and a function; the options of scenes and of the method are added to the flags
from their declarations. Exit codes: 0 done, 1 something failed, 2 something was asked for that cannot be, 130 Ctrl-C.
"""

from __future__ import annotations

import inspect
import io
import math
import os
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import tyro

from app import config_file
from app.command_flags import (
    BenchFlags,
    DeviceFlags,
    DiagnoseFlags,
    DoctorFlags,
    EvalFlags,
    ExportFlags,
    ImportFlags,
    ModelFlags,
    PathFlags,
    RenderFlags,
    TrainFlags,
    WindowFlags,
)
from app.flags import given, with_options, with_values
from engine import devices
from engine.errors import UserError, cause_chain


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    # Python lets a thread compute for 5 ms before another one gets its turn. The window must draw every 16 ms beside the
    # worker's Python code between kernels, so the two hand over after 1 ms.
    sys.setswitchinterval(0.001)
    for stream in (sys.stdout, sys.stderr):  # a name that the terminal's code page lacks must not end a run
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        return _dispatch(argv)
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return 130
    except Exception as error:
        if "--debug" in argv:
            print(getattr(error, "trace", "") or traceback.format_exc(), file=sys.stderr)
        if isinstance(error, UserError):
            print(f"nerfviewer: {error}", file=sys.stderr)
            return 2
        known = (
            type(error).__name__ == "RunError"
        )  # a sentence already; its module is only imported with a command
        print(f"nerfviewer: {error if known else ' / '.join(cause_chain(error))}", file=sys.stderr)
        if "--debug" not in argv:
            print("nerfviewer: --debug shows where.", file=sys.stderr)
        return 1


def _dispatch(argv: list[str]) -> int:
    if argv and argv[0] == "--version":
        from importlib.metadata import version

        print(version("nerfviewer"))
        return 0
    name = argv[0] if argv and argv[0] in _COMMANDS else ""
    flags, run = _COMMANDS[name]
    rest = argv[1:] if name else argv
    if name == "train":
        rest = _resumed(rest)
    file = _config(flags, rest)
    if (threads := _early(rest, "threads", file)) is not None:
        if not threads.isdecimal() or int(threads) < 1:
            raise UserError(f"--threads must be a whole number of at least 1, got {threads}.")
        os.environ["NUMBA_NUM_THREADS"] = threads  # read when the kernels' threads are first needed
    if issubclass(flags, DeviceFlags) and (device := _early(rest, "device", file)) is not None:
        os.environ[devices.VARIABLE] = devices.checked(device)  # child processes have it too
    said = config_file.Settings()
    if issubclass(flags, ModelFlags):
        from engine.datasets.options import SceneOptions

        config = _method(_early(rest, "method", file) or _method_of_run(rest)).Config
        flags = with_options(flags, SceneOptions, config)
        said = said if file is None else config_file.settings(file, config)
    if flags is ImportFlags:
        from engine.sfm.options import ImportOptions

        flags = with_options(flags, ImportOptions)
    if flags is ExportFlags:
        from engine.export.options import ExportOptions

        flags = with_options(flags, ExportOptions)
    arguments = tyro.cli(
        flags,
        args=rest,
        prog=f"nerfviewer {name}".strip(),
        description=inspect.cleandoc(flags.__doc__),
        **({} if file is None or flags is BenchFlags else {"default": with_values(flags(), said)}),
    )
    if said.warning:
        print(f"nerfviewer: {said.warning}", file=sys.stderr)
    return run(arguments, rest)


def _early(argv: list[str], name: str, file: config_file.ConfigFile | None = None) -> str | None:
    """Return the value of a flag before the others can be parsed."""
    for i, token in enumerate(argv):
        if token.replace("_", "-") == f"--{name}" and i + 1 < len(argv):
            return argv[i + 1]
        if token.split("=", 1)[0].replace("_", "-") == f"--{name}" and "=" in token:
            return token.split("=", 1)[1]
    return None if file is None else file.early(name)


def _config(flags: type, argv: list[str]) -> config_file.ConfigFile | None:
    """Return the file that --config names, None without one."""
    path = _early(argv, "config") if issubclass(flags, ModelFlags | BenchFlags) else None
    return None if path is None else config_file.read(Path(path).expanduser())


def _resumed(argv: list[str]) -> list[str]:
    """Return the arguments of `train` with `--resume RUN` as `--resume-from RUN`; a scene behind it stays a scene."""
    for i, token in enumerate(argv[:-1]):
        path = Path(argv[i + 1]).expanduser()
        is_run = (path / "run.json").is_file() or path.suffix in (".safetensors", ".pth", ".pt")
        if token == "--resume" and is_run:
            return [*argv[:i], "--resume-from", *argv[i + 1 :]]
    return argv


def _method_of_run(argv: list[str]) -> str | None:
    """Return the method of the run that --resume-from names: its options are those that may be given."""
    path = _early(argv, "resume-from")
    if path is None:
        return None
    from engine.runs import folder_of, open_run

    return open_run(folder_of(Path(path).expanduser())).spec.method


def _method(name: str | None) -> Any:
    from engine.methods.common import method_class

    return method_class(name or "svraster")


def _options(arguments: Any, argv: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (scene options, method options) that were asked for, the preset's included."""
    from engine.datasets.options import SceneOptions

    method = _method(arguments.method)
    values: dict[str, Any] = {}
    module = sys.modules[method.__module__.rpartition(".")[0]]
    if arguments.preset is not None:
        presets = getattr(module, "PRESETS", {})
        if arguments.preset not in presets:
            names = ", ".join(presets) or "none"
            raise UserError(f"{arguments.method} has no preset {arguments.preset!r}; there is {names}.")
        values |= presets[arguments.preset]
    if arguments.refine_poses:
        if not hasattr(module, "REFINE_POSES"):
            raise UserError(
                f"--refine-poses needs a method with soft pictures, not {arguments.method}; choose svraster."
            )
        values |= module.REFINE_POSES
    if arguments.config is not None:  # what it says was asked for as much as what the command line says
        said = config_file.settings(config_file.read(arguments.config.expanduser()), method.Config)
        argv = [*argv, *(f"--{name}" for name in (*said.scene, *said.method))]
    return given(arguments, SceneOptions, argv), values | given(arguments, method.Config, argv)


def _window(arguments: Any, argv: list[str]) -> int:
    from app.display import NoWindowError, why_no_window

    _check_above_zero("exit_after", arguments.exit_after)
    scene_options, values = _options(arguments, argv)
    run_folder = _run_at(arguments.scene) if arguments.attach is None else _attached(arguments)
    reason = why_no_window()
    if reason is not None and arguments.attach is not None:
        raise UserError(f"--attach shows a run in a window, and none can be opened: {reason}.")
    if reason is None:
        from app.gui import window

        try:
            return window.run(
                None if run_folder else arguments.scene,
                run_folder=run_folder,
                options={"method": arguments.method, "scene": scene_options, "values": values},
                seed=arguments.seed,
                screenshot=arguments.screenshot,
                exit_after=arguments.exit_after,
                present=arguments.present,
                interop=arguments.interop,
                follow=arguments.attach is not None,
            )
        except NoWindowError as error:
            reason = str(error)
    from app.headless_render import WITHOUT_WINDOW_S, without_window
    from app.headless_train import TrainJob

    scene = arguments.scene or "demo"
    if run_folder is not None:
        from engine.runs import open_run

        if run_folder.is_file():
            raise UserError(
                f"{run_folder} cannot be shown, because {reason}; make a video of it with nerfviewer render, such as "
                f"nerfviewer render {run_folder} --spiral -o film.mp4."
            )
        scene = open_run(run_folder).spec.scene
    seconds = WITHOUT_WINDOW_S if arguments.exit_after is None else arguments.exit_after
    job = TrainJob(
        scene,
        arguments.method,
        arguments.seed,
        scene_options,
        values,
        max_seconds=seconds,
        out=run_folder,
        resume=run_folder is not None,
    )
    return without_window(job, reason, arguments.screenshot)


def _attached(arguments: Any) -> Path:
    """Return the run folder that --attach names."""
    from engine.runs import folder_of, open_run

    if arguments.scene is not None:
        raise UserError(
            f"--attach shows the scene of its run, and {arguments.scene} was named as well. Leave one of them out."
        )
    return open_run(folder_of(arguments.attach.expanduser())).path


def _run_at(path: str | None) -> Path | None:
    """Return the run folder that a path means, None for a scene; raise for what is neither. Its reader says of nothing."""
    from engine.datasets.recognise import NotASceneError, recognise

    if path is None:
        return None
    found = recognise(path)
    if not (found.is_scene or found.kind in ("run", "missing")):
        raise NotASceneError(Path(path), found)
    return found.path if found.kind == "run" else None


def _train(arguments: Any, argv: list[str]) -> int:
    from app.headless_train import TrainJob, train
    from engine.parallel import RENDEZVOUS, place_from_env

    place = place_from_env()
    if arguments.processes < 1:
        raise UserError(f"--processes must be a whole number of at least 1, got {arguments.processes}.")
    if place is not None and arguments.processes > 1 and RENDEZVOUS not in os.environ:
        raise UserError(
            f"torchrun has started {place.size} processes, and --processes {arguments.processes} was asked for. "
            "Leave --processes out."
        )
    for name in ("max_steps", "max_epochs", "max_seconds", "eval_every", "autosave"):
        _check_above_zero(name, getattr(arguments, name))
    scene_options, values = _options(arguments, argv)
    scene, method, out, resume = arguments.scene, arguments.method, arguments.out, arguments.resume
    if arguments.resume_from is not None:
        scene, method, out = _resume_from(arguments)
        resume = True
    if scene is None:
        raise UserError(
            "train needs a scene: a folder of posed photos, or demo. Name it, here or in --config."
        )
    job = TrainJob(
        scene,
        method,
        arguments.seed,
        scene_options,
        values,
        arguments.max_steps,
        arguments.max_seconds,
        arguments.eval_every,
        out,
        resume,
        arguments.json,
        arguments.autosave,
        arguments.tensorboard,
        arguments.processes if place is None else place.size,
        arguments.max_epochs,
    )
    if place is None and arguments.processes == 1:
        return train(job)
    from app.processes import start, train_at

    return train_at(job, place) if place is not None else start(["train", *argv], arguments.processes)


def _resume_from(arguments: Any) -> tuple[str, str, Path]:
    """Return (scene, method, run folder) of the run that is to be continued."""
    from engine.runs import folder_of, open_run

    folder = folder_of(arguments.resume_from.expanduser())
    if arguments.out is not None and arguments.out.resolve() != folder.resolve():
        raise UserError(
            f"--resume-from {folder} continues in that folder, and --out {arguments.out} was asked for. Leave --out out."
        )
    spec = open_run(folder).spec
    return arguments.scene or spec.scene, spec.method, folder


def _eval(arguments: Any, argv: list[str]) -> int:
    from app.headless_train import evaluate

    return evaluate(arguments.run, arguments.json)


def _render(arguments: Any, argv: list[str]) -> int:
    from app.headless_render import RenderTask, render
    from app.paths import path_frame
    from app.view.presets import PRESETS

    kinds = (*PRESETS, "path", "view")
    chosen = [kind for kind in kinds if getattr(arguments, kind.replace("-", "_"))]
    if len(chosen) != 1:
        came = " and ".join(f"--{kind}" for kind in chosen) or "none"
        wanted = ", ".join(f"--{kind}" for kind in PRESETS)
        raise UserError(f"render needs one of {wanted}, --path FILE and --view VIEW, got {came}.")
    for name in ("frames", "fps", "ngp_scale"):
        _check_above_zero(name, getattr(arguments, name))
    size = _size(arguments.size)
    frame = path_frame(arguments.ngp_scale, arguments.ngp_offset, arguments.dataparser)
    kind, path = chosen[0], arguments.path
    return render(
        RenderTask(
            arguments.run,
            arguments.output,
            kind,
            path,
            size,
            arguments.fps,
            arguments.frames,
            frame,
            arguments,
        )
    )


def _path(arguments: Any, argv: list[str]) -> int:
    from app.paths import Conversion, convert, path_frame

    for name in ("ngp_scale", "fps", "samples"):
        _check_above_zero(name, getattr(arguments, name))
    frame = path_frame(arguments.ngp_scale, arguments.ngp_offset, arguments.dataparser)
    size = _size(arguments.size)
    return convert(
        Conversion(
            arguments.file, arguments.output, arguments.format, frame, size, arguments.fps, arguments.samples
        )
    )


def _export(arguments: Any, argv: list[str]) -> int:
    from app.exporting import estimate, export
    from engine.export.options import ExportOptions

    for name in ("fineness", "max_voxels"):
        _check_above_zero(name, getattr(arguments, name))
    values = given(arguments, ExportOptions, argv)
    if arguments.estimate:
        return estimate(arguments, values)
    if arguments.output is None:
        raise UserError(
            "export needs a file to write; name it with -o, such as -o scene.voxels or -o model.glb."
        )
    return export(arguments, values)


def _check_above_zero(name: str, value: float | None) -> None:
    if value is not None and not 0 < value < math.inf:
        raise UserError(f"--{name.replace('_', '-')} must be a number above 0, got {value:g}.")


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (
        width.isdecimal() and height.isdecimal() and 2 <= int(width) <= 16384 and 2 <= int(height) <= 16384
    ):
        raise UserError(f"--size must be WIDTHxHEIGHT in pixels, such as 960x540, got {text}.")
    return int(width), int(height)


def _import(arguments: Any, argv: list[str]) -> int:
    from app.importing import import_photos
    from engine.options import build
    from engine.sfm.options import ImportJob, ImportOptions, usable_cores

    source, scene = (str(path.expanduser().resolve()) for path in (arguments.source, arguments.output))
    options = build(ImportOptions, given(arguments, ImportOptions, argv))
    return import_photos(
        ImportJob(source, scene, options, arguments.threads or usable_cores(), arguments.again)
    )


def _bench(arguments: Any, argv: list[str]) -> int:
    file = _config(BenchFlags, argv)
    module, own = {
        "raster": ("bench", ("runs",)),
        "ops": ("bench_ops", ("runs",)),
        "infnerf-scaling": ("bench_infnerf", ("depth",)),
        "train": ("bench", ("scene", "method", "seconds", "seed")),
    }[arguments.what]
    asked = {
        name: getattr(arguments, name) for name in ("scene", "method", "seconds", "seed", "runs", "depth")
    }
    asked = {name: value for name, value in asked.items() if value is not None}
    if file is not None:
        if arguments.what != "train":
            raise UserError(f"bench {arguments.what} takes no --config, got {file.path}. Leave it out.")
        asked = _bench_settings(file, asked)
    for name, value in asked.items():
        if name not in (*own, "scene_options", "values"):
            flag = "scene" if name == "scene" else f"--{name}"
            raise UserError(f"bench {arguments.what} takes no {flag}, got {value}. Leave it out.")
        if name in ("seconds", "runs"):
            _check_above_zero(name, value)
    measure = getattr(import_module(f"app.{module}"), arguments.what.replace("-", "_"))
    measure(arguments.json, **asked)
    return 0


def _bench_settings(file: config_file.ConfigFile, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what `bench train` is to measure: what was asked for, else what a config file says."""
    method = asked.get("method") or file.early("method")
    said = config_file.settings(file, _method(method).Config)
    names = {"scene": "scene", "method": "method", "seed": "seed", "max_seconds": "seconds"}
    found = {names[name]: value for name, value in said.flags.items() if name in names}
    if said.warning:
        print(f"nerfviewer: {said.warning}", file=sys.stderr)
    return {**found, **asked, "scene_options": said.scene, "values": said.method}


def _diagnose(arguments: Any, argv: list[str]) -> int:
    from app.diagnosing import diagnose_run

    return diagnose_run(arguments.run, arguments.json)


def _doctor(arguments: Any, argv: list[str]) -> int:
    from app import doctor

    return doctor.main()


_COMMANDS: dict[str, tuple[type, Callable[[Any, list[str]], int]]] = {
    "": (WindowFlags, _window),
    "import": (ImportFlags, _import),
    "train": (TrainFlags, _train),
    "eval": (EvalFlags, _eval),
    "render": (RenderFlags, _render),
    "path": (PathFlags, _path),
    "export": (ExportFlags, _export),
    "bench": (BenchFlags, _bench),
    "diagnose": (DiagnoseFlags, _diagnose),
    "doctor": (DoctorFlags, _doctor),
}
