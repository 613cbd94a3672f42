# SPDX-License-Identifier: MIT
"""Every machine without CUDA hears what it lacks, in plain words; one that lacks nothing can use it."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import pytest

from app import doctor
from engine.cuda import build, support


def _missing() -> str:
    raise build.CudaMissingError("not there")


@pytest.fixture
def machine(monkeypatch):
    """A machine that has everything; a test takes something away."""
    cuda = SimpleNamespace(
        is_available=lambda: True,
        get_device_name=lambda index: "NVIDIA H200",
        get_device_capability=lambda index: (9, 0),
    )
    torch = SimpleNamespace(version=SimpleNamespace(cuda="13.0"), cuda=cuda)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(support, "driver_version", lambda: 13000)
    monkeypatch.setattr(build, "compiler_version", lambda: "13.0")
    monkeypatch.setattr(build, "compiler_knows", lambda arch: arch == "sm_90")
    return SimpleNamespace(torch=torch, patch=monkeypatch)


def test_a_machine_with_everything_can_use_it(machine):
    assert support.find() == support.Support(True, "NVIDIA H200, kernels compiled by NVRTC 13.0")


@pytest.mark.parametrize(
    ("take_away", "detail", "remedy"),
    [
        (
            lambda m: m.patch.setattr(support, "driver_version", lambda: None),
            "no NVIDIA card .* with one, training",
            "",
        ),
        (
            lambda m: setattr(m.torch.version, "cuda", None),
            "PyTorch's build for processors",
            r"pip install .*cu130$",
        ),
        (lambda m: setattr(m.torch.cuda, "is_available", lambda: False), "finds no card", "driver 580"),
        (
            lambda m: setattr(m.torch.cuda, "get_device_capability", lambda i: (6, 1)),
            "capability 6.1.*need 7.5",
            "",
        ),
        (
            lambda m: m.patch.setattr(build, "compiler_version", _missing),
            "H200, but not",
            r"'nerfviewer\[cuda\]'",
        ),
        (lambda m: m.patch.setattr(support, "driver_version", lambda: 12060), "only CUDA 12.6", "driver 580"),
        (
            lambda m: m.patch.setattr(build, "compiler_knows", lambda arch: False),
            "newer than",
            "nvidia-cuda-nvrtc",
        ),
    ],
)
def test_what_is_missing_is_said_with_its_remedy(machine, take_away, detail, remedy):
    take_away(machine)
    found = support.find()
    assert not found.usable
    assert re.search(detail, found.detail)
    assert re.search(remedy, found.remedy) if remedy else found.remedy == ""


def test_without_a_driver_not_even_torch_is_asked(machine):
    machine.patch.setattr(support, "driver_version", lambda: None)
    machine.patch.setitem(sys.modules, "torch", None)
    assert not support.find().usable


def test_a_missing_driver_is_no_error(monkeypatch):
    monkeypatch.setattr(support, "DRIVER_LIBRARY", "libnobodyhasthis.so.1")
    assert support.driver_version() is None


def test_the_doctor_says_it_in_plain_words(machine):
    machine.torch.version.cuda = None
    device, computes = doctor.check_device()
    assert (device.what, device.status, device.remedy) == ("CUDA device", doctor.NOTE, support.TORCH)
    assert "training and drawing would run on it" in device.detail
    assert computes.detail == "the processor; nothing else is needed"


@pytest.mark.parametrize(
    ("reason", "status"), [("", doctor.OK), ("the window is drawn by Mesa", doctor.NOTE)]
)
def test_the_doctor_says_whether_pictures_stay_on_the_card(machine, reason, status):
    machine.patch.setattr(doctor, "_why_copied", lambda: reason)
    machine.patch.setattr(doctor, "_why_no_kernel", lambda: "")
    device, kernels, pictures = doctor.check_device()
    assert (kernels.what, kernels.status) == ("Kernels", doctor.OK)
    assert (device.status, device.remedy) == (doctor.OK, "")
    assert (pictures.what, pictures.status) == ("Pictures on the card", status)
    assert reason in pictures.detail


def test_the_doctor_tries_a_kernel(machine):
    machine.patch.setattr(doctor, "_why_no_kernel", lambda: "CUDAError: no binary")
    machine.patch.setattr(doctor, "_why_copied", lambda: pytest.fail("there is no picture to try"))
    _, kernels = doctor.check_device()
    assert (kernels.status, kernels.detail) == (
        doctor.MISSING,
        "do not run on the card (CUDAError: no binary)",
    )
    assert "--device cpu" in kernels.remedy


def test_a_kernel_that_cannot_be_launched_is_an_answer(monkeypatch):
    from engine.cuda import launch

    def refused(*_: object) -> None:
        raise RuntimeError("no binary")

    monkeypatch.setattr(launch, "launch", refused)
    assert doctor._why_no_kernel("cpu") == "RuntimeError: no binary"
    monkeypatch.setattr(launch, "launch", lambda name, grid, block, n, index, values, out: out.fill_(7.0))
    assert doctor._why_no_kernel("cpu") == "its result is wrong"
    monkeypatch.setattr(
        launch, "launch", lambda name, grid, block, n, index, values, out: out.copy_(values[index])
    )
    assert doctor._why_no_kernel("cpu") == ""


def test_the_compiler_knows_the_cards_that_are_compiled_for(cubin_compiler):
    assert [build.compiler_knows(arch) for arch in (*build.ARCHITECTURES, "sm_61")] == [True] * 6 + [False]
