# SPDX-License-Identifier: MIT
"""Kernels launched on torch tensors, on torch's current stream: nothing waits here, nothing is copied.

`launch("name", grid, block, *args)` takes the kernel's arguments in its order: tensors for pointers, None for a null
pointer, Python numbers for the rest. Compiled machine code is loaded once per device.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.cuda import build, registry

if TYPE_CHECKING:
    import torch

_SCALARS = {
    **{
        "f": np.float32,
        "d": np.float64,
        "?": np.bool_,
        "b": np.int8,
        "h": np.int16,
        "i": np.int32,
        "q": np.int64,
    },
    **{"B": np.uint8, "H": np.uint16, "I": np.uint32, "Q": np.uint64},
}
# torch has few operations on unsigned numbers, so words of bits travel as signed ones of the same size.
_TENSORS = {
    **{"f": ("float32",), "d": ("float64",), "?": ("bool", "uint8"), "b": ("int8",), "B": ("uint8", "bool")},
    **{"h": ("int16",), "H": ("int16", "uint16"), "i": ("int32",), "I": ("int32", "uint32")},
    **{"q": ("int64",), "Q": ("int64", "uint64")},
}


def launch(name: str, grid: Sequence[int], block: Sequence[int], *args: torch.Tensor | float | None) -> None:
    """Launch a kernel on the current device and stream of torch. A grid without blocks launches nothing."""
    import torch

    core = build.cuda_core()
    kernel = registry.kernels()[name]
    if len(args) != len(kernel.kinds):
        raise TypeError(f"{name} takes {len(kernel.kinds)} arguments, got {len(args)}")
    device = torch.cuda.current_device()
    values = [as_argument(kernel, i, arg, device) for i, arg in enumerate(args)]
    if 0 in grid:
        return
    _enter(device)
    stream = _stream(device, torch.cuda.current_stream().cuda_stream)
    config = core.LaunchConfig(grid=tuple(grid), block=tuple(block))
    core.launch(stream, config, _loaded(name, device), *values)


def as_argument(kernel: registry.Kernel, i: int, arg: torch.Tensor | float | None, device: int) -> Any:
    """Return an argument as cuda.core wants it, or say what is wrong with it: a wrong pointer is never launched."""
    kind = kernel.kinds[i]
    scalar = _SCALARS.get(kind)
    if scalar is not None:
        if isinstance(arg, (int, float)):
            return scalar(arg)
        wrong = f"must be a number, got {type(arg).__name__}"
    elif arg is None:
        return 0
    elif not hasattr(arg, "data_ptr"):
        wrong = f"must be a tensor, got {type(arg).__name__}"
    elif not arg.is_cuda or arg.device.index != device:
        wrong = f"must be on cuda:{device}, is on {arg.device}"
    elif not arg.is_contiguous():
        wrong = f"must be contiguous, has strides {tuple(arg.stride())}"
    elif kind[1] != "." and _name(arg.dtype) not in _TENSORS[kind[1]]:
        wrong = f"must be {' or '.join(_TENSORS[kind[1]])}, got {_name(arg.dtype)}"
    else:
        return arg.data_ptr()
    raise TypeError(f"{kernel.name}: {kernel.parameters[i]} {wrong}")


@cache
def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


_here = threading.local()


def _enter(device: int) -> None:
    """Make the device's primary context, which is torch's, this thread's own: it is what launches go to."""
    if getattr(_here, "device", None) != device:
        build.cuda_core().Device(device).set_current()
        _here.device = device


@cache
def _loaded(name: str, device: int) -> Any:
    """Return a kernel on a device, compiling its file if that was never done on this machine."""
    return _module(registry.kernels()[name].file, device).get_kernel(name)


@cache
def _module(file: str, device: int) -> Any:
    import torch

    core = build.cuda_core()
    return core.ObjectCode.from_cubin(
        build.compile_to_cubin(file, arch_of(torch.cuda.get_device_capability(device)))
    )


@cache
def _stream(device: int, handle: int) -> Any:  # 0, the default stream, is another one on each device
    return build.cuda_core().Stream.from_handle(handle)


def arch_of(capability: tuple[int, int]) -> str:
    """Return the architecture of a compute capability, (9, 0) is "sm_90"."""
    return f"sm_{capability[0]}{capability[1]}"
