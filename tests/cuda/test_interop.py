# SPDX-License-Identifier: MIT
"""What the providers ask of NVIDIA's packages and of PyCUDA, with the card's own calls replaced."""

from __future__ import annotations

import gc
import inspect
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from engine.cuda import interop


class Card:
    """Notes the driver's calls in their order; `fails` names one that returns an error."""

    def __init__(self, fails: str = "") -> None:
        self.fails, self.calls, self.copied = fails, [], {}

    def call(self, name: str, *values: Any) -> tuple[Any, ...]:
        from cuda.bindings import driver

        self.calls.append(name)
        code = "CUDA_ERROR_UNKNOWN" if name == self.fails else "CUDA_SUCCESS"
        return (getattr(driver.CUresult, code), *values)


@pytest.fixture
def card(cubin_compiler, monkeypatch):
    from cuda.bindings import driver

    card = Card()

    def copy(what: driver.CUDA_MEMCPY2D, stream: Any) -> tuple[Any, ...]:
        card.copied = {
            "from": (what.srcMemoryType, int(what.srcDevice), what.srcPitch),
            "to": (what.dstMemoryType, int(what.dstArray)),
            "size": (what.WidthInBytes, what.Height),
        }
        return card.call("copy")

    def mapped(count: int, resource: driver.CUgraphicsResource, stream: Any) -> tuple[Any, ...]:
        assert (count, int(resource), int(stream)) == (1, 0x40, 0x77)
        return card.call("map")

    array = driver.CUarray(0x99)
    monkeypatch.setattr(driver, "cuGraphicsMapResources", mapped)
    monkeypatch.setattr(driver, "cuGraphicsSubResourceGetMappedArray", lambda *a: card.call("array", array))
    monkeypatch.setattr(driver, "cuMemcpy2DAsync", copy)
    monkeypatch.setattr(driver, "cuGraphicsUnmapResources", lambda *a: card.call("unmap"))
    return card


def _link() -> interop.Link:
    from cuda.bindings import driver

    resource = SimpleNamespace(handle=0x40, close=lambda: None)
    return interop._CudaCoreLink(resource, SimpleNamespace(handle=driver.CUstream(0x77)))


def test_a_copy_maps_copies_and_unmaps_on_one_stream(card):
    from cuda.bindings.driver import CUmemorytype

    _link().copy(0x1000, 64, 3)
    assert card.calls == ["map", "array", "copy", "unmap"]
    device, array = CUmemorytype.CU_MEMORYTYPE_DEVICE, CUmemorytype.CU_MEMORYTYPE_ARRAY
    assert card.copied == {"from": (device, 0x1000, 64), "to": (array, 0x99), "size": (64, 3)}


@pytest.mark.parametrize(
    ("fails", "calls"),
    [("map", ["map"]), ("array", ["map", "array", "unmap"]), ("copy", ["map", "array", "copy", "unmap"])],
)
def test_a_failing_call_is_named_and_what_was_mapped_is_unmapped(card, fails, calls):
    card.fails = fails
    with pytest.raises(interop.InteropError, match="CUDA_ERROR_UNKNOWN"):
        _link().copy(0x1000, 64, 3)
    assert card.calls == calls


def test_the_installed_package_has_what_is_asked_of_it(cubin_compiler):
    from cuda import core
    from cuda.bindings import runtime

    assert {"image", "target", "flags"} <= set(
        inspect.signature(core.GraphicsResource.from_gl_image).parameters
    )
    for owner, names in (
        (core.GraphicsResource, ("handle", "close")),
        (core.Device, ("set_current",)),
        (core.Stream, ("handle", "from_handle")),
        (core.ObjectCode, ("from_cubin", "get_kernel")),
        (core, ("LaunchConfig", "launch")),
        (runtime, ("cudaGetLastError",)),
    ):
        assert [name for name in names if not hasattr(owner, name)] == []


def test_a_provider_of_nvidias_packages_registers_textures_for_writing(monkeypatch):
    done: list[Any] = []
    resource = SimpleNamespace(from_gl_image=lambda *a, **k: done.append((a, k)))
    stream = SimpleNamespace(from_handle=lambda handle: done.append(("stream", handle)))
    device = SimpleNamespace(set_current=lambda: done.append("current"))
    core = SimpleNamespace(
        Device=lambda i: (done.append(i), device)[1], GraphicsResource=resource, Stream=stream
    )
    monkeypatch.setattr(interop.build, "cuda_core", lambda: core)
    monkeypatch.setattr("torch.cuda.Stream", lambda index: SimpleNamespace(cuda_stream=0x77))
    provider = interop.open_provider("cuda", 1)
    provider.link(5)
    provider.close()
    assert provider.stream == 0x77
    registered = (5, interop.GL_TEXTURE_2D), {"flags": "write_discard"}
    assert done == [1, "current", ("stream", 0x77), registered]


@pytest.fixture
def pycuda(monkeypatch) -> list[Any]:
    """A fake PyCUDA that was built with OpenGL; what was asked of it, in order."""
    done: list[Any] = []

    class Memcpy2D:
        def set_src_device(self, address: int) -> None:
            self.source = address

        def set_dst_array(self, array: str) -> None:
            self.target = array

        def __call__(self, stream: Any) -> None:
            size = (self.src_pitch, self.width_in_bytes, self.height)
            done.append(("copy", self.source, self.target, size, stream.handle))

    mapping = SimpleNamespace(array=lambda i, level: "array", unmap=lambda stream: done.append("unmap"))

    class RegisteredImage:
        def __init__(self, texture: int, target: int, flags: str) -> None:
            done.append(("register", texture, target, flags))

        def map(self, stream: Any) -> Any:
            done.append("map")
            return mapping

        def unregister(self) -> None:
            done.append("unregister")

    class Stream:
        handle = 0x55

        def __del__(self) -> None:
            done.append("stream destroyed")

    context = SimpleNamespace(
        push=lambda: done.append("push"), pop=lambda: done.append("pop"), detach=lambda: done.append("detach")
    )
    package, driver, gl = ModuleType("pycuda"), ModuleType("pycuda.driver"), ModuleType("pycuda.gl")
    driver.init = lambda: None
    driver.Device = lambda index: SimpleNamespace(retain_primary_context=lambda: context)
    driver.Stream = Stream
    driver.Memcpy2D = Memcpy2D
    gl.RegisteredImage = RegisteredImage
    gl.graphics_map_flags = SimpleNamespace(WRITE_DISCARD="discard")
    package.driver, package.gl = driver, gl
    for module in (package, driver, gl):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return done


def test_pycuda_does_the_same_on_the_primary_context(pycuda):
    provider = interop.open_provider("pycuda", 0)
    link = provider.link(5)
    link.copy(0x1000, 64, 3)
    link.close()
    provider.close()
    assert provider.stream == 0x55
    del provider, link
    gc.collect()  # the stream stays: torch may still ask it about a picture
    steps = [step for step in pycuda if step not in ("push", "pop")]
    assert steps == [
        ("register", 5, interop.GL_TEXTURE_2D, "discard"),
        "map",
        ("copy", 0x1000, "array", (64, 64, 3), 0x55),
        "unmap",
        "unregister",
        "detach",
    ]
    assert pycuda.count("push") == pycuda.count("pop") == 4


def test_a_pycuda_without_opengl_is_refused_in_words(monkeypatch):
    monkeypatch.setitem(sys.modules, "pycuda", None)
    with pytest.raises(interop.InteropError, match="PyCUDA is not there or was built without OpenGL"):
        interop.open_provider("pycuda")
