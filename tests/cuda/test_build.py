# SPDX-License-Identifier: MIT
"""Kernels compile to machine code on a machine without a GPU, once, and say what they take of one."""

from __future__ import annotations

import sys

import pytest

from engine import constants
from engine.cuda import build, registry
from tests.cuda import host, usage_table

HARNESS = host.HERE / "harness.cu"
LOG = """
ptxas info    : Compiling entry function 'second' for 'sm_90'
ptxas         .     8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 1024 bytes smem
ptxas info    : Compiling entry function 'first' for 'sm_90'
ptxas info    : Used 18 registers, used 0 barriers
"""


@pytest.mark.parametrize("arch", build.ARCHITECTURES)
@pytest.mark.parametrize("file", registry.source_names())
def test_every_kernel_file_compiles_for_every_card(cubin_compiler, file, arch):
    assert build.compile_to_cubin(file, arch).startswith(b"\x7fELF")


def test_kernels_take_of_a_gpu_what_the_table_says(cubin_compiler):
    told = usage_table.differences(usage_table.read(), usage_table.measure())
    assert told == [], "if this is meant: python -m tests.cuda.usage_table"


def test_the_table_notices_what_matters():
    recorded = {"k": {"sm_90": [40, 0, 1024]}}
    assert usage_table.differences(recorded, {"k": {"sm_90": [64, 64, 1024]}}) == []
    for row in ([65, 0, 1024], [40, 65, 1024], [40, 0, 1028], [15, 0, 1024]):
        assert len(usage_table.differences(recorded, {"k": {"sm_90": row}})) == 1
    assert usage_table.differences(recorded, {}) == ["k is in the table but in no kernel file"]
    assert usage_table.differences({}, recorded) == ["k is not in the table"]


def test_what_ptxas_says_is_read():
    assert build.parse_usage(LOG) == {
        "second": build.Usage(registers=40, spill_bytes=28, shared_bytes=1024),
        "first": build.Usage(registers=18, spill_bytes=0, shared_bytes=0),
    }


def test_shared_memory_is_what_the_source_asks_for(cubin_compiler):
    used = build.usage(HARNESS, "sm_90")
    assert (used["block_sum"].shared_bytes, used["whoami"].shared_bytes) == (4 * 256, 0)


def test_the_second_time_nothing_is_compiled(cubin_compiler, monkeypatch):
    first = build.compile_to_cubin(HARNESS, "sm_80")
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("compiled again"))
    assert build.compile_to_cubin(HARNESS, "sm_80") == first


def test_a_changed_constant_header_or_compiler_compiles_again(cubin_compiler, monkeypatch, tmp_path):
    monkeypatch.setenv("NERFVIEWER_CACHE", str(tmp_path / "cache"))
    compiled = []
    monkeypatch.setattr(build, "_compile", lambda source, arch: (compiled.append(arch), (b"", ""))[1])
    build.compile_to_cubin(HARNESS, "sm_80")
    build.compile_to_cubin(HARNESS, "sm_80")
    assert len(compiled) == 1
    monkeypatch.setattr(constants, "NEAR", 0.25)
    build.compile_to_cubin(HARNESS, "sm_80")
    monkeypatch.setattr(build, "INCLUDE", tmp_path)
    build.compile_to_cubin(HARNESS, "sm_80")
    monkeypatch.setattr(build, "compiler_version", lambda: "99.0")
    build.compile_to_cubin(HARNESS, "sm_80")
    build.compile_to_cubin(HARNESS, "sm_90")
    assert len(compiled) == 5


def test_an_error_names_file_and_line(cubin_compiler, tmp_path):
    wrong = tmp_path / "wrong.cu"
    wrong.write_text('extern "C" __global__ void k(float* x) {\n    x[0] = y;\n}\n')
    with pytest.raises(build.KernelError, match=r'wrong\.cu\(2\): error: identifier "y" is undefined'):
        build.compile_to_cubin(wrong, "sm_90")


def test_without_the_packages_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cuda", None)
    monkeypatch.delitem(sys.modules, "cuda.core", raising=False)
    with pytest.raises(build.CudaMissingError, match=r"Run: pip install 'nerfviewer\[cuda\]'$"):
        build.compile_to_cubin(HARNESS, "sm_90")


def test_the_header_of_constants_has_every_number():
    header = build.constants_header()
    assert f"constexpr int TILE_PX = {constants.TILE_PX};" in header
    assert f"constexpr float STOP_TRANS = {constants.STOP_TRANS!r}f;" in header
    assert f"constexpr float SH_C3[7] = {{{constants.SH_C3[0]!r}f," in header
    numbers = [name for name in vars(constants) if name.isupper()]
    assert header.count("constexpr") == len(numbers)
