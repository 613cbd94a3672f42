# SPDX-License-Identifier: MIT
"""`nerfviewer render`, and what `nerfviewer` does where there is no display: train, then a picture and a video."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from app.headless import Console, Driver, RunError, driving
from app.headless_train import TrainJob, how_to_open, make_worker, open_job, train_to_the_end
from app.jobs.orders import ExportOrder, data_scale, scene_name
from app.jobs.still import Still
from app.jobs.video import start_export
from app.output_flags import OutputFlags
from app.view import presets
from app.view.path_files import PathFrame, read_path
from engine import messages as m
from engine.cameras import Camera
from engine.errors import UserError
from engine.shots import Film
from engine.worker import Worker

WITHOUT_WINDOW_S = 120.0  # of training where there is no display and no time was given
VIDEO_SIZE = (960, 540)
VIDEO_FPS = 30.0
VIDEO_FRAMES = 120


@dataclass(frozen=True)
class RenderTask:
    """What `render` was asked for: one of the presets, a path file, or one view."""

    run: Path
    output: Path
    kind: str  # of `presets.PRESETS`, "path" or "view"
    path_file: Path | None = None
    size: tuple[int, int] = VIDEO_SIZE
    fps: float = VIDEO_FPS
    frames: int = VIDEO_FRAMES
    frame: PathFrame | None = None  # where other programs' path files lie in the dataset
    flags: OutputFlags = field(default_factory=OutputFlags)


def render(task: RenderTask, worker: Worker | None = None, console: Console | None = None) -> int:
    """Render a camera path of a run into a video or pictures, or one view into a PNG."""
    order = (
        task.flags.order(task.output) if task.kind != "view" else {}
    )  # what is wrong is said before loading
    with driving(worker or Worker(), console) as driver:
        scene = driver.open(m.OpenRun(str(task.run)))
        if task.kind == "view":
            render_view(driver, scene, task)
            driver.console.say(f"Wrote {task.output}.")
            return 0
        up = tuple(float(value) for value in scene.up)
        film = Film(path_cameras(scene, task, driver.console.say), **task.flags.film(), up=up)
        told = {"scene": scene_name(scene), "data_scale": data_scale(scene)}
        export(driver, ExportOrder(film=film, fps=task.fps, share=1.0, **order, **told))
        driver.console.say(f"Wrote {order['path']}.")
    return 0


def render_view(driver: Driver, scene: m.SceneOpened, task: RenderTask) -> None:
    """Render one view into a PNG that holds it."""
    flags, told = task.flags, []
    if task.output.suffix.lower() != ".png":
        raise UserError(f"One view becomes a PNG; name the output such as view.png, got {task.output.name}.")
    record = replace(
        flags.wanted_view(*task.size), scene=scene_name(scene), run=str(task.run), mode=flags.mode
    )
    look = {"mode": flags.mode, "supersample": float(flags.supersample)}
    camera = record.camera(scene.data_from_engine)
    still = Still(task.output, camera, record, driver.worker.send, lambda *said: told.append(said), **look)
    still.start()
    driver.pump(lambda: bool(told))
    text, failed = told[0]
    if failed:
        raise RunError(text)


def path_cameras(
    scene: m.SceneOpened, task: RenderTask, say: Callable[[str], None] = lambda note: None
) -> Sequence[Camera]:
    """Return the cameras of a task on a scene; `say` is told what a path file left open."""
    width, height = task.size
    if task.kind == "path":
        found = read_path(task.path_file, scene.data_from_engine, task.frame)
        for note in found.notes:
            say(note)
        return found.path.cameras(task.fps, width, height)
    capture = [view.camera for view in scene.views[: scene.n_train]]
    preset = presets.suggest(capture, scene.up, task.frames)
    return presets.PRESETS[task.kind](preset, width, height)


def export(driver: Driver, order: ExportOrder) -> None:
    """Make an export and wait; Ctrl-C cancels it and keeps what there is."""
    ended: list[m.JobEnded] = []
    job = start_export(order, driver.worker.send, driver.worker.emit)
    try:
        driver.pump(lambda: bool(ended), lambda e: ended.append(e) if isinstance(e, m.JobEnded) else None)
    finally:
        if job.outcome is None:
            job.cancel()
            job.wait(timeout_s=10.0)
    if ended[0].outcome != "finished":
        raise RunError(ended[0].detail)


def without_window(job: TrainJob, reason: str, screenshot: Path | None, worker: Worker | None = None) -> int:
    """Train in the terminal in place of the window, then write a picture and a spiral video into the run folder."""
    console = Console()
    console.say(
        f"There is no window, because {reason}; {job.scene} is trained here for "
        f"{job.max_seconds:.0f} s instead (Ctrl-C ends it sooner), then a picture and a video are written."
    )
    opening = how_to_open(job, console)
    with driving(worker or make_worker(job), console) as driver:
        open_job(driver, opening, job)
        train_to_the_end(driver, job)
        scene = driver.scene
        picture = write_picture(driver, scene, screenshot or Path(scene.run_folder) / "picture.png")
        console.say(f"Wrote {picture}.")
        video = Path(scene.run_folder) / "spiral.mp4"
        task = RenderTask(Path(scene.run_folder), video, "spiral")
        export(driver, ExportOrder(video, Film(path_cameras(scene, task)), VIDEO_FPS, share=1.0))
        console.say(f"Wrote {video}.")
    return 0


def write_picture(driver: Driver, scene: m.SceneOpened, file: Path) -> Path:
    """Render the first held-out view, or the first view, into an image file."""
    from PIL import Image

    held_out = scene.views[scene.n_train :] or scene.views
    frames: list[m.Frame] = []

    def got() -> bool:
        frames.extend(f for f in (driver.worker.frame(),) if f is not None)
        return bool(frames)

    def refuse(event: m.Event) -> None:
        if isinstance(event, m.Failed) and event.what == "The view could not be rendered":
            raise RunError(f"{event.what}: {' / '.join(event.chain)}", event.trace)

    driver.worker.request_view(m.ViewRequest(1, held_out[0].camera))
    driver.pump(got, refuse)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(frames[0].rgba).save(file)
    except (OSError, ValueError) as error:
        raise UserError(
            f"Cannot write the picture {file}: {error}. Choose another name, such as a.png."
        ) from error
    return file
