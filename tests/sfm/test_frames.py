# SPDX-License-Identifier: MIT
"""Of a video the sharpest frame of each part is taken."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageFilter

from engine.errors import SceneError
from engine.sfm import frames


def _nothing(done: int, total: int) -> None:
    pass


def _picture(seed: int, blur: float) -> Image.Image:
    noise = np.random.default_rng(seed).integers(0, 255, (12, 16), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((320, 240), Image.Resampling.NEAREST).convert("RGB")
    return picture.filter(ImageFilter.GaussianBlur(blur)) if blur else picture


def test_blur_lowers_sharpness():
    values = [frames.sharpness(np.asarray(_picture(0, blur).convert("L"))) for blur in (0.0, 1.0, 3.0)]
    assert values[0] > 2 * values[1] > 4 * values[2]


def test_the_sharpest_of_each_part_is_chosen():
    assert frames.choose([1, 5, 2, 9, 3, 4], 3) == [1, 3, 5]
    assert frames.choose([1, 2], 5) == [0, 1]
    assert len(set(frames.choose(list(range(100)), 7))) == 7


def test_sharp_frames_of_a_video_become_photos(tmp_path):
    import imageio.v2 as imageio

    sharp = {2, 5, 11}
    video = tmp_path / "walk.mp4"
    with imageio.get_writer(video, fps=12, macro_block_size=1, quality=9) as writer:
        for index in range(12):
            writer.append_data(np.asarray(_picture(index // 4, 0.0 if index in sharp else 4.0)))
    heard: list[tuple[int, int]] = []
    values = frames.measure(video, lambda done, total: heard.append((done, total)))
    assert heard[-1] == (12, 12)
    chosen = frames.choose(values, 3)
    assert chosen == sorted(sharp)
    files = frames.extract(video, chosen, tmp_path / "images", 2, _nothing)
    assert [file.name for file in files] == ["frame_00001.jpg", "frame_00002.jpg", "frame_00003.jpg"]
    for seed, file in enumerate(files):
        small = _picture(seed, 0.0).resize((160, 120), Image.Resampling.BOX)
        error = np.abs(np.asarray(Image.open(file), np.float32) - np.asarray(small, np.float32)).mean()
        assert error < 8.0  # grey levels; another frame is off by 80, compression by 3


def test_a_file_that_is_no_video_is_refused_in_a_sentence(tmp_path):
    (tmp_path / "x.mp4").write_bytes(b"no video at all" * 100)
    with pytest.raises(SceneError, match=r"Cannot read .*x\.mp4: a video was wanted and ffmpeg says"):
        frames.measure(tmp_path / "x.mp4", _nothing)
