# SPDX-License-Identifier: MIT
"""A frame on the card goes into textures where that works; where it does not, once is enough and the reason is kept."""

from __future__ import annotations

import numpy as np
import pytest

from app.gl.context import GLError, HiddenContext
from app.gl.device_frames import DeviceFrames
from app.gl.present import PicturePass, Target
from engine.messages import DeviceFrame

NVIDIA, MESA = "NVIDIA Corporation NVIDIA GeForce RTX 4090", "Intel Mesa UHD Graphics 620"
W, H = 6, 4


class FakeLink:
    def __init__(self, provider: FakeProvider, texture: int) -> None:
        self.provider, self.texture = provider, texture

    def copy(self, address: int, row_bytes: int, rows: int) -> None:
        self.provider.did("copy")
        self.provider.copies.append((self.texture, address, row_bytes, rows))

    def close(self) -> None:
        self.provider.did("unlink", self.texture)


class FakeProvider:
    """Notes what is asked of it and fails where it is told to."""

    name, stream = "fake", 77

    def __init__(self, fails: str = "") -> None:
        self.fails = fails
        self.done: list[object] = []
        self.copies: list[tuple[int, int, int, int]] = []

    def did(self, what: str, detail: int | None = None) -> None:
        self.done.append(what if detail is None else (what, detail))
        if what == self.fails:
            raise RuntimeError(f"CUDA_ERROR in {what}")

    def __call__(self, device: int) -> FakeProvider:
        self.did("open", device)
        return self

    def link(self, texture: int) -> FakeLink:
        self.did("link", texture)
        return FakeLink(self, texture)

    def forget_errors(self) -> None:
        self.did("forget")

    def close(self) -> None:
        self.did("close")


def make_frame(read: list[int] | None = None, value: int = 9) -> DeviceFrame:
    picture = np.full((H, W, 4), value, np.uint8), np.full((H, W), 2.0, np.float32)
    read_on = [].append if read is None else read.append
    return DeviceFrame(
        W, H, rgba=1000, depth_z=2000, device=0, read_on=read_on, download=lambda: picture, wait=lambda: None
    )


def test_both_textures_are_filled_after_the_frame_is_ready_and_registered_once():
    provider, read = FakeProvider(), []
    frames = DeviceFrames("auto", NVIDIA, provider)
    for _ in range(3):
        assert frames.show(make_frame(read), colour=5, depth=6)
    assert provider.copies == [(5, 1000, 4 * W, H), (6, 2000, 4 * W, H)] * 3
    assert [step for step in provider.done if step != "copy"] == [("open", 0), ("link", 5), ("link", 6)]
    assert read == [77, 77, 77]
    assert frames.wanted


@pytest.mark.parametrize("wish", ["copy", "texture"])
def test_who_asks_for_copies_gets_them(wish):
    provider = FakeProvider()
    frames = DeviceFrames(wish, NVIDIA, provider)
    assert (frames.wanted, frames.reason) == (False, "asked for")
    assert not frames.show(make_frame(), 5, 6)
    assert provider.done == []


def test_a_window_of_another_chip_is_not_even_tried_and_the_advice_names_the_way():
    provider = FakeProvider()
    frames = DeviceFrames("auto", MESA, provider)
    assert not frames.show(make_frame(), 5, 6)
    assert provider.done == []
    assert "drawn by Intel Mesa UHD Graphics 620" in frames.reason
    assert "__NV_PRIME_RENDER_OFFLOAD=1" in frames.reason


def test_another_driver_for_the_same_card_is_another_chip():
    frames = DeviceFrames("auto", "Microsoft Corporation D3D12 (NVIDIA GeForce RTX 4090)", FakeProvider())
    assert not frames.wanted


def test_who_insists_gets_a_try_with_any_chip():
    assert DeviceFrames("interop", MESA, FakeProvider()).show(make_frame(), 5, 6)


@pytest.mark.parametrize("fails", ["open", "link", "copy"])
def test_one_failure_is_enough_and_leaves_nothing_behind(fails):
    provider = FakeProvider(fails)
    frames = DeviceFrames("interop", NVIDIA, provider)
    assert not frames.show(make_frame(), 5, 6)
    assert f"CUDA_ERROR in {fails}" in frames.reason
    tried = list(provider.done)
    assert not frames.show(make_frame(), 5, 6)
    assert provider.done == tried
    if fails != "open":
        assert provider.done[-2:] == ["close", "forget"]
    if fails == "copy":
        assert ("unlink", 5) in provider.done


def test_a_failure_while_cleaning_up_is_no_second_one():
    provider = FakeProvider("copy")
    frames = DeviceFrames("auto", NVIDIA, provider)
    provider.forget_errors = lambda: 1 / 0
    assert not frames.show(make_frame(), 5, 6)
    assert "CUDA_ERROR in copy" in frames.reason


@pytest.fixture(scope="module")
def ctx():
    try:
        hidden = HiddenContext()
    except GLError as error:
        pytest.skip(str(error))
    yield hidden.ctx
    hidden.close()


class Painter(FakeProvider):
    """Does with OpenGL what a provider does with CUDA: fills the texture of the size it is told."""

    def __init__(self, ctx, fails: str = "") -> None:
        super().__init__(fails)
        self.ctx = ctx

    def link(self, texture: int) -> FakeLink:
        link = super().link(texture)

        def copy(address: int, row_bytes: int, rows: int) -> None:
            self.did("copy")
            if address == 1000:
                self.ctx.external_texture(texture, (W, H), 4, 0, "f1").write(np.full((H, W, 4), 9, np.uint8))

        link.copy = copy
        return link


def shown(ctx, picture: PicturePass) -> np.ndarray:
    target = Target.new(ctx, (W, H))
    picture.draw(target, W, H)
    pixels = target.read(W, H)
    target.release()
    return pixels[..., :3]


@pytest.mark.gl
def test_the_picture_pass_shows_what_was_put_into_its_texture(ctx):
    provider = Painter(ctx)
    picture = PicturePass(ctx, DeviceFrames("interop", MESA, provider))
    try:
        assert picture.set_device_frame(make_frame())
        assert (shown(ctx, picture) == 9).all()
        assert picture.depth.size == (W, H)
        picture.set_frame(np.full((H, W, 4), 200, np.uint8), np.ones((H, W), np.float32))
        assert (shown(ctx, picture) == 200).all()
        assert picture.set_device_frame(make_frame())
        assert (shown(ctx, picture) == 9).all()
    finally:
        picture.release()
    assert [step[0] for step in provider.done if step[0] == "unlink"] == ["unlink", "unlink"]


@pytest.mark.gl
def test_a_texture_is_let_go_of_before_it_is_deleted(ctx):
    provider = Painter(ctx)
    picture = PicturePass(ctx, DeviceFrames("interop", MESA, provider))
    try:
        picture.set_device_frame(make_frame())
        (name,) = [step[1] for step in provider.done if step[0] == "link"][:1]
        picture.set_frame(np.zeros((H + 1, W, 4), np.uint8), np.ones((H + 1, W), np.float32))
        shown(ctx, picture)  # of another size, so another texture
        assert ("unlink", name) in provider.done
    finally:
        picture.release()


@pytest.mark.gl
def test_after_a_failure_the_frame_of_before_is_still_shown(ctx):
    picture = PicturePass(ctx, DeviceFrames("interop", MESA, Painter(ctx, fails="copy")))
    try:
        picture.set_frame(np.full((H, W, 4), 200, np.uint8), np.ones((H, W), np.float32))
        assert not picture.set_device_frame(make_frame())
        assert (shown(ctx, picture) == 200).all()
    finally:
        picture.release()
