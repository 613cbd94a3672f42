# SPDX-License-Identifier: MIT
"""What each command takes on its command line: declarations for tyro, nothing is done here.

Options of methods and scenes are added by `flags.with_options`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from app.output_flags import OutputFlags

Help = tyro.conf.arg


@dataclass(frozen=True)
class CommonFlags:
    """Flags of every command."""

    threads: Annotated[
        int | None, Help(metavar="N", help="Threads for the kernels; all processors otherwise.")
    ] = None
    debug: Annotated[tyro.conf.FlagCreatePairsOff[bool], Help(help="Show the trace of an error.")] = False


@dataclass(frozen=True)
class DeviceFlags(CommonFlags):
    """Flags of commands that train or render."""

    device: Annotated[
        str,
        Help(metavar="auto|cpu|cuda|cuda:N", help="Where to; auto: on an NVIDIA card that can be used."),
    ] = "auto"


@dataclass(frozen=True)
class ModelFlags(DeviceFlags):
    """Flags of commands that make a model."""

    method: Annotated[str, Help(help="The radiance field.")] = "svraster"
    preset: Annotated[
        str | None, Help(metavar="NAME", help="A named set of options; flags change single ones.")
    ] = None
    refine_poses: Annotated[
        tyro.conf.FlagCreatePairsOff[bool],
        Help(help="Correct the photos' camera poses while training, from coarse to fine, on soft pictures."),
    ] = False
    seed: Annotated[int, Help(help="Of everything random.")] = 0
    config: Annotated[
        Path | None,
        Help(
            metavar="FILE", help="YAML or JSON with options and flags by name; the command line wins over it."
        ),
    ] = None


@dataclass(frozen=True)
class WindowFlags(ModelFlags):
    """Open a scene, watch it train and fly through it.

    Further commands: nerfviewer import | train | eval | render | export | bench | diagnose | doctor, each with --help.
    """

    scene: Annotated[
        tyro.conf.Positional[str | None],
        Help(metavar="SCENE", help='A folder of posed photos, a run folder, "demo" or "city".'),
    ] = None
    attach: Annotated[
        Path | None,
        Help(metavar="RUN", help="Watch a run that another process trains; nothing is written there."),
    ] = None
    present: Annotated[
        Literal["auto", "interop", "texture", "copy"],
        Help(help="How pictures reach the window; interop: without leaving the graphics card."),
    ] = "auto"
    interop: Annotated[
        Literal["cuda", "pycuda"], Help(help="Who shares the graphics card's pictures with the window.")
    ] = "cuda"
    screenshot: Annotated[
        Path | None, Help(metavar="FILE", help="Write a picture of the window when it ends.")
    ] = None
    exit_after: Annotated[float | None, Help(metavar="SECONDS", help="End by itself after this time.")] = None


@dataclass(frozen=True)
class TrainFlags(ModelFlags):
    """Train without a window. Ctrl-C saves, evaluates and ends."""

    scene: Annotated[
        tyro.conf.Positional[str | None],
        Help(
            metavar="SCENE",
            help='A folder of posed photos, "demo" or "city"; with --resume-from that of the run.',
        ),
    ] = None
    max_steps: Annotated[int | None, Help(metavar="N", help="End at this step of the run.")] = None
    max_epochs: Annotated[
        int | None, Help(metavar="N", help="End after so many rounds over the training photos.")
    ] = None
    max_seconds: Annotated[
        float | None, Help(metavar="S", help="End after this much training time of the run.")
    ] = None
    out: Annotated[
        Path | None, Help(metavar="DIR", help="The run folder; a new one in ./runs otherwise.")
    ] = None
    resume: Annotated[
        tyro.conf.FlagCreatePairsOff[bool],
        Help(
            help="Continue the run in --out, or the newest of this scene; --resume RUN is --resume-from RUN."
        ),
    ] = False
    resume_from: Annotated[
        Path | None, Help(metavar="RUN", help="Continue this run: its folder, or its newest checkpoint file.")
    ] = None
    eval_every: Annotated[
        float | None,
        Help(metavar="S", help="Seconds of training between evaluations; a sixth of --max-seconds, else 30."),
    ] = None
    autosave: Annotated[float, Help(metavar="SECONDS", help="Time between checkpoints.")] = 120.0
    processes: Annotated[
        int,
        Help(
            metavar="N",
            help="Train in N processes on this machine: each step takes a photo in each of them and goes along the mean "
            "of their gradients. --threads counts per process. On several machines: torchrun.",
        ),
    ] = 1
    json: Annotated[Path | None, Help(metavar="FILE", help="Write the numbers here.")] = None
    tensorboard: Annotated[
        tyro.conf.FlagCreatePairsOff[bool],
        Help(help="Write the curves for TensorBoard too, into the run folder."),
    ] = False


@dataclass(frozen=True)
class EvalFlags(DeviceFlags):
    """Measure PSNR and SSIM of a run on its held-out views."""

    run: Annotated[tyro.conf.Positional[Path], Help(metavar="RUN", help="A run folder.")] = tyro.MISSING
    json: Annotated[Path | None, Help(metavar="FILE", help="Write the numbers here.")] = None


@dataclass(frozen=True)
class PathFrameFlags(CommonFlags):
    """Flags of commands that read camera paths of other programs, whose files do not say where they lie."""

    ngp_scale: Annotated[
        float, Help(help='"scale" of the transforms.json that a path of instant-ngp belongs to.')
    ] = 0.33
    ngp_offset: Annotated[
        tuple[float, float, float],
        Help(metavar="X Y Z", help='"offset" of the transforms.json that a path of instant-ngp belongs to.'),
    ] = (0.5, 0.5, 0.5)
    dataparser: Annotated[
        Path | None,
        Help(metavar="FILE", help="The dataparser_transforms.json that a path of nerfstudio belongs to."),
    ] = None


@dataclass(frozen=True)
class RenderFlags(OutputFlags, DeviceFlags, PathFrameFlags):
    """Render a camera path of a run: --spiral, --orbit and so on, --path FILE, or one picture: --view."""

    run: Annotated[tyro.conf.Positional[Path], Help(metavar="RUN", help="A run folder.")] = tyro.MISSING
    spiral: Annotated[
        tyro.conf.FlagCreatePairsOff[bool], Help(help="Once round the scene, sinking and rising.")
    ] = False
    orbit: Annotated[tyro.conf.FlagCreatePairsOff[bool], Help(help="Once round the scene, level.")] = False
    zoom_out: Annotated[
        tyro.conf.FlagCreatePairsOff[bool],
        Help(help="From close by to far above: shows level of detail at work."),
    ] = False
    figure_eight: Annotated[
        tyro.conf.FlagCreatePairsOff[bool],
        Help(help="To and fro before the scene in the shape of an eight."),
    ] = False
    dolly_zoom: Annotated[
        tyro.conf.FlagCreatePairsOff[bool],
        Help(help="Back while the lens closes in: the scene keeps its size, what is behind it grows."),
    ] = False
    fly_along: Annotated[
        tyro.conf.FlagCreatePairsOff[bool],
        Help(help="Along the places from which the photos were taken."),
    ] = False
    path: Annotated[
        Path | None,
        Help(metavar="FILE", help="A camera path of the window, instant-ngp, nerfstudio or COLMAP."),
    ] = None
    size: Annotated[str, Help(metavar="WxH", help="Size of the pictures.")] = "960x540"
    fps: Annotated[float, Help(help="Frames per second.")] = 30.0
    frames: Annotated[int, Help(help="Number of frames; a --path has as many as its seconds ask for.")] = 120
    output: Annotated[
        Path, Help(aliases=["-o"], metavar="FILE.mp4|DIR/", help="A video, or a folder of pictures.")
    ] = tyro.MISSING


@dataclass(frozen=True)
class PathFlags(PathFrameFlags):
    """Tell what a camera path holds: of the window, instant-ngp, nerfstudio, or the images.txt of COLMAP; or convert it."""

    file: Annotated[
        tyro.conf.Positional[Path], Help(metavar="FILE", help="A camera path; its content tells its format.")
    ] = tyro.MISSING
    output: Annotated[
        Path | None, Help(aliases=["-o"], metavar="FILE.json", help="Write the path here, in --format.")
    ] = None
    format: Annotated[
        Literal["nerfviewer", "instant-ngp", "nerfstudio"], Help(help="The format to write.")
    ] = "nerfviewer"
    size: Annotated[str, Help(metavar="WxH", help="Size of nerfstudio's pictures, if FILE has none.")] = (
        "1280x720"
    )
    fps: Annotated[float, Help(help="Frames per second of nerfstudio, if FILE has none.")] = 30.0
    samples: Annotated[
        float | None,
        Help(
            metavar="N",
            help="Keys per second for instant-ngp, which then follows the path; the path's own keys otherwise.",
        ),
    ] = None


@dataclass(frozen=True)
class ExportFlags(CommonFlags):
    """Write what a run learned for other programs, or as a small file. The suffix says in which format.

    .voxels is one small file that opens like a run; .glb and .obj are a mesh; .ply holds voxels, or what --format says. Of
    Plenoxels .npz is the public file and .plenoxels a small one; of InfNeRF NAME.nodes has a file per node of the tree.
    """

    run: Annotated[
        tyro.conf.Positional[Path], Help(metavar="RUN", help="A run folder or a .voxels file.")
    ] = tyro.MISSING
    output: Annotated[
        Path | None,
        Help(
            aliases=["-o"],
            metavar="FILE.voxels|.glb|.obj|.ply|.npz|.plenoxels|NAME.nodes",
            help="The file or folder to write.",
        ),
    ] = None
    format: Annotated[
        Literal["compact", "mesh", "points", "voxels", "cubes", "webgl"] | None,
        Help(
            metavar="{compact,mesh,points,voxels,cubes,webgl}",
            help="What to write into a .ply: voxels otherwise.",
        ),
    ] = None
    estimate: Annotated[
        tyro.conf.FlagCreatePairsOff[bool],
        Help(help="Only say how large each format would be and what it would lose."),
    ] = False
    density_bits: Annotated[Literal[8, 16], Help(help="Bits of a density in a .plenoxels file.")] = 8
    sh_degree: Annotated[
        Literal[0, 1, 2, 3], Help(help="Degree of the colours that InfNeRF is baked with.")
    ] = 2
    fineness: Annotated[
        float,
        Help(help="Baked voxels in a row that are as long as a finest cell of InfNeRF's node there."),
    ] = 1.0
    max_voxels: Annotated[int, Help(help="Baked voxels of InfNeRF at most, the heaviest.")] = 1_500_000


@dataclass(frozen=True)
class ImportFlags(CommonFlags):
    """Make a scene of plain photos or a video: find out where each was taken. Needs pip install 'nerfviewer[sfm]'.

    Ctrl-C stops; the same command goes on from there.
    """

    source: Annotated[
        tyro.conf.Positional[Path], Help(metavar="PHOTOS|VIDEO", help="A folder of photos, or a video.")
    ] = tyro.MISSING
    output: Annotated[
        Path, Help(aliases=["-o"], metavar="SCENE", help="The folder that becomes the scene.")
    ] = tyro.MISSING
    again: Annotated[
        tyro.conf.FlagCreatePairsOff[bool], Help(help="Throw an earlier import in that folder away.")
    ] = False


@dataclass(frozen=True)
class BenchFlags(CommonFlags):
    """Measure this machine."""

    what: Annotated[
        tyro.conf.Positional[Literal["raster", "ops", "train", "infnerf-scaling"]],
        Help(
            help="What to measure: frames, the steps of marching through a grid, training, or what a frame of InfNeRF needs."
        ),
    ] = tyro.MISSING
    scene: Annotated[
        tyro.conf.Positional[str | None],
        Help(
            metavar="SCENE", help='train: a folder of posed photos, "demo", which it is otherwise, or "city".'
        ),
    ] = None
    method: Annotated[
        str | None, Help(metavar="NAME", help="train: the radiance field; svraster otherwise.")
    ] = None
    seconds: Annotated[float | None, Help(metavar="S", help="train: how long to train; 30 otherwise.")] = None
    seed: Annotated[int | None, Help(metavar="N", help="train: of everything random; 0 otherwise.")] = None
    runs: Annotated[
        int | None, Help(metavar="N", help="raster, ops: how often each is measured; 30 otherwise.")
    ] = None
    depth: Annotated[
        int | None, Help(metavar="D", help="infnerf-scaling: of the deepest tree, 3 to 10; 8 otherwise.")
    ] = None
    config: Annotated[
        Path | None, Help(metavar="FILE", help="train: YAML or JSON with options by name, as train takes it.")
    ] = None
    json: Annotated[Path | None, Help(metavar="FILE", help="Write the numbers here.")] = None


@dataclass(frozen=True)
class DiagnoseFlags(CommonFlags):
    """Say what goes wrong in a run, with evidence and one change that may help.

    Exit code 0: nothing was found, 1: something was found.
    """

    run: Annotated[tyro.conf.Positional[Path], Help(metavar="RUN", help="A run folder.")] = tyro.MISSING
    json: Annotated[Path | None, Help(metavar="FILE", help="Write the findings here.")] = None


@dataclass(frozen=True)
class DoctorFlags(CommonFlags):
    """Say what this machine lacks for nerfviewer, and how to install it."""
