# SPDX-License-Identifier: MIT
"""From CUDA's memory into an OpenGL texture without leaving the card, by one of two providers.

`open_provider` gives a provider with a stream for its copies; `link` registers a texture with CUDA, once; `Link.copy` maps it,
copies rows into it and unmaps it, all on that stream and without waiting: OpenGL's later calls come after the copy by
themselves (cuGraphicsUnmapResources). All of it on the thread whose OpenGL context has the texture.

The stream is never destroyed: torch's allocator remembers on which streams a picture was read, and asks these when the picture
is let go, which may be long after the provider is closed.

cuda.core registers the texture and owns the registration; its `map` is for buffers only, which have an address. A texture
has an array instead, so mapping and copying go through cuda.bindings, one floor below.
"""

from __future__ import annotations

from typing import Any, Protocol

from engine.cuda import build

GL_TEXTURE_2D = 0x0DE1
PROVIDERS = ("cuda", "pycuda")
_KEPT: list[Any] = []  # PyCUDA's streams, which it would destroy


class InteropError(Exception):
    """Textures cannot be shared; the message is the reason as a clause."""


class Link(Protocol):
    """A texture that CUDA can write to."""

    def copy(self, address: int, row_bytes: int, rows: int) -> None:
        """Fill the texture's top left corner from rows that lie close together at an address of the card."""

    def close(self) -> None:
        """Let go of the texture; before OpenGL deletes it."""


class Provider(Protocol):
    """Something that shares textures."""

    name: str
    stream: int  # the handle of the stream that copies

    def link(self, texture: int) -> Link:
        """Register a texture by its OpenGL name. Raises an error of any kind where that does not work."""

    def forget_errors(self) -> None:
        """Clear the last error, so that nobody else takes it for theirs."""

    def close(self) -> None:
        """Give back what is not needed; the stream goes on existing."""


def open_provider(name: str = "cuda", device: int = 0) -> Provider:
    """Return a provider for a device; raises an error of any kind where it does not work."""
    return PyCudaProvider(device) if name == "pycuda" else CudaCoreProvider(device)


class CudaCoreProvider:
    """NVIDIA's own packages, on the primary context, which is torch's."""

    name = "cuda"

    def __init__(self, device: int) -> None:
        import torch

        self._core = build.cuda_core()
        here = self._core.Device(device)
        here.set_current()
        self.stream = torch.cuda.Stream(device).cuda_stream  # of torch's pool, which outlives everything
        self._stream = self._core.Stream.from_handle(self.stream)

    def link(self, texture: int) -> Link:
        """Register a texture; what it held before a copy is of no interest."""
        register = self._core.GraphicsResource.from_gl_image
        return _CudaCoreLink(register(texture, GL_TEXTURE_2D, flags="write_discard"), self._stream)

    def forget_errors(self) -> None:
        """Clear the last error of CUDA's runtime."""
        from cuda.bindings import runtime

        runtime.cudaGetLastError()

    def close(self) -> None:
        """Do nothing: the stream is torch's."""


class _CudaCoreLink:
    def __init__(self, resource: Any, stream: Any) -> None:
        self._resource, self._stream = resource, stream

    def copy(self, address: int, row_bytes: int, rows: int) -> None:
        from cuda.bindings import driver

        resource, stream = driver.CUgraphicsResource(self._resource.handle), self._stream.handle
        _succeed(driver.cuGraphicsMapResources(1, resource, stream))
        try:
            what = driver.CUDA_MEMCPY2D()
            what.srcMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_DEVICE
            what.srcDevice = driver.CUdeviceptr(address)
            what.srcPitch = what.WidthInBytes = row_bytes
            what.dstMemoryType = driver.CUmemorytype.CU_MEMORYTYPE_ARRAY
            what.dstArray = _succeed(driver.cuGraphicsSubResourceGetMappedArray(resource, 0, 0))
            what.Height = rows
            _succeed(driver.cuMemcpy2DAsync(what, stream))
        finally:
            _succeed(driver.cuGraphicsUnmapResources(1, resource, stream))

    def close(self) -> None:
        self._resource.close()


def _succeed(result: tuple[Any, ...]) -> Any:
    """Return what a call of cuda.bindings gave, or raise its error."""
    error, *values = result
    if int(error):
        raise InteropError(getattr(error, "name", str(error)))
    return values[0] if values else None


class PyCudaProvider:
    """PyCUDA, where it was built with OpenGL; its wheels are not."""

    name = "pycuda"

    def __init__(self, device: int) -> None:
        try:
            import pycuda.driver as driver
            import pycuda.gl as gl
        except ImportError as error:
            raise InteropError(f"PyCUDA is not there or was built without OpenGL ({error})") from error
        self._driver, self._gl = driver, gl
        driver.init()
        self._context = driver.Device(device).retain_primary_context()
        with _Pushed(self._context):
            self._stream = driver.Stream()
        _KEPT.append(self._stream)
        self.stream = int(self._stream.handle)

    def link(self, texture: int) -> Link:
        """Register a texture; what it held before a copy is of no interest."""
        with _Pushed(self._context):
            flags = self._gl.graphics_map_flags.WRITE_DISCARD
            return _PyCudaLink(self, self._gl.RegisteredImage(texture, GL_TEXTURE_2D, flags))

    def copy(self, image: Any, address: int, row_bytes: int, rows: int) -> None:
        """Fill a registered image."""
        with _Pushed(self._context):
            mapping = image.map(self._stream)
            try:
                what = self._driver.Memcpy2D()
                what.set_src_device(address)
                what.src_pitch = what.width_in_bytes = row_bytes
                what.set_dst_array(mapping.array(0, 0))
                what.height = rows
                what(self._stream)
            finally:
                mapping.unmap(self._stream)

    def unlink(self, image: Any) -> None:
        """Let go of a registered image."""
        with _Pushed(self._context):
            image.unregister()

    def forget_errors(self) -> None:
        """Do nothing: PyCUDA's driver calls leave no error behind."""

    def close(self) -> None:
        """Give the context back."""
        self._context.detach()


class _PyCudaLink:
    def __init__(self, provider: PyCudaProvider, image: Any) -> None:
        self._provider, self._image = provider, image

    def copy(self, address: int, row_bytes: int, rows: int) -> None:
        self._provider.copy(self._image, address, row_bytes, rows)

    def close(self) -> None:
        self._provider.unlink(self._image)


class _Pushed:
    """Makes a PyCUDA context current for a block; torch finds its own again afterwards."""

    def __init__(self, context: Any) -> None:
        self._context = context

    def __enter__(self) -> None:
        self._context.push()

    def __exit__(self, *_: object) -> None:
        self._context.pop()
