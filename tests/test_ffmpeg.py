# SPDX-License-Identifier: MIT
"""The ffmpeg that comes with imageio, run so that no lock can stop it from starting."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import ffmpeg
from engine.errors import UserError
from engine.export.sequence import VideoFile
from engine.ffmpeg import Encoder


def _film(file: Path, pictures: int = 12, fps: float = 24.0) -> Path:
    writer = VideoFile(file, fps)
    for i in range(pictures):
        writer.write(i, np.full((32, 48, 3), 5 * i, np.uint8))
    writer.finish()
    return file


def test_a_head_says_how_long_a_video_is_and_how_fast(tmp_path: Path) -> None:
    assert ffmpeg.head(_film(tmp_path / "a.mp4")) == (0.5, 24.0)
    assert ffmpeg.head(_film(tmp_path / "b.mkv", 45, 30.0)) == (1.5, 30.0)


@pytest.mark.parametrize(
    ("rates", "fps"), [("29.58 fps, 120 tbr, 600 tbn", 29.58), ("25 tbr, 600 tbn", 25.0), ("600 tbn", 0.0)]
)
def test_frames_are_counted_by_their_mean_rate(rates: str, fps: float) -> None:
    words = f"  Duration: 00:01:02.50, start: 0.0\n  Stream #0:0: Video: h264, yuv420p, 9 kb/s, {rates} (default)\n"
    assert ffmpeg.parse_head(words) == (62.5, fps)


def test_what_is_no_video_has_no_head(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    assert ffmpeg.head(tmp_path / "a.mp4") == (0.0, 0.0)
    assert ffmpeg.head(tmp_path / "nothing.mp4") == (0.0, 0.0)


def test_no_python_runs_between_fork_and_exec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[dict[str, Any]] = []
    real = subprocess.Popen
    monkeypatch.setattr(
        subprocess, "Popen", lambda *words, **more: (given.append(more), real(*words, **more))[1]
    )
    _film(tmp_path / "a.mp4")
    assert len(given) == 2, "the encoder, and the look at the head"
    assert all(more.get("preexec_fn") is None for more in given)


@pytest.mark.skipif(sys.platform == "win32", reason="process groups are of POSIX")
def test_an_interrupt_in_the_terminal_does_not_reach_the_encoder(tmp_path: Path) -> None:
    encoder = Encoder(tmp_path / "a.mp4", 48, 32, 24.0, ())
    assert os.getpgid(encoder._process.pid) != os.getpgid(0)
    encoder.kill()
    assert encoder._process.returncode is not None
    reader = ffmpeg.start(["-f", "rawvideo", "-i", "-", "-f", "null", "-"], stdin=subprocess.PIPE)
    assert os.getpgid(reader.pid) == os.getpgid(0), (
        "who ends the group of an import ends what reads its video"
    )
    reader.kill()
    reader.communicate()


def test_an_encoder_that_is_gone_is_said_in_a_sentence_and_leaves_nothing(tmp_path: Path) -> None:
    writer = VideoFile(tmp_path / "a.mp4", 24)
    writer.write(0, np.zeros((32, 48, 3), np.uint8))
    writer._encoder._process.kill()
    writer._encoder._process.wait()
    with pytest.raises(UserError, match=r"ended unexpectedly while it wrote .*a\.mp4"):
        for i in range(1, 400):  # more than a pipe holds
            writer.write(i, np.zeros((32, 48, 3), np.uint8))
    writer.discard()
    assert list(tmp_path.iterdir()) == []
