# SPDX-License-Identifier: MIT
"""What the registry reads from kernel files is what compilers make of them."""

from __future__ import annotations

import pytest

from engine.cuda import registry
from tests.cuda import host


def test_parameters_are_read_with_their_types():
    source = """
    // extern "C" __global__ void left_out(int n) {}
    extern "C" __global__ void __launch_bounds__(256, 2) first(
        const float* __restrict__ x,  // [n], not y
        float* y, unsigned long long* keys, const float4* packed, int n, float scale, int64_t many
    ) {}
    extern "C" __global__ void second(uint8_t const* flags) {}
    """
    first, second = registry.parse("some.cu", source)
    assert (first.name, first.file) == ("first", "some.cu")
    assert first.kinds == ("<f", "*f", "*Q", "<.", "i", "f", "q")
    assert first.parameters == ("x", "y", "keys", "packed", "n", "scale", "many")
    assert (second.name, second.kinds) == ("second", ("<B",))


@pytest.mark.parametrize("parameter", ["struct Camera camera", "float4 colour"])
def test_a_parameter_that_cannot_be_passed_is_refused(parameter):
    with pytest.raises(ValueError, match="of kernel k is neither a pointer nor a number"):
        registry.parse("some.cu", f'extern "C" __global__ void k({parameter}) {{}}')


def test_every_kernel_file_has_kernels_of_its_own_names():
    files = {kernel.file for kernel in registry.kernels().values()}
    assert files == set(registry.source_names())


@pytest.mark.parametrize("file", registry.source_names())
def test_the_compiler_sees_the_same_parameters(host_compiler, file):
    compiled = host.load(file).kinds
    read = {name: list(kernel.kinds) for name, kernel in registry.kernels().items() if kernel.file == file}
    assert compiled == read


def test_enough_blocks_and_no_more():
    assert [registry.blocks_for(count, 128) for count in (0, 1, 128, 129)] == [0, 1, 1, 2]
