# SPDX-License-Identifier: MIT
"""Shape checks: what fits passes and gives the sizes, what does not is told in one sentence."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.shapes import check_shapes


def test_what_fits_gives_the_sizes_of_the_letters() -> None:
    sizes = check_shapes(
        "f", rays_o=(np.zeros((5, 3)), "N 3"), rgb=(torch.zeros(5, 8, 3), "N C 3"), n=(np.zeros(()), "")
    )
    assert sizes == {"N": 5, "C": 8}


def test_empty_arrays_fit() -> None:
    assert check_shapes("f", a=(np.zeros((0, 3)), "N 3")) == {"N": 0}
    assert check_shapes("f", a=(np.zeros((0, 3)), "0 3")) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"a": (np.zeros((5, 4)), "N 3")}, "f(): a must have shape [N, 3], got [5, 4]."),
        ({"a": (np.zeros(5), "N 3")}, "f(): a must have shape [N, 3], got [5]."),
        ({"a": (np.zeros((5, 3, 1)), "N 3")}, "f(): a must have shape [N, 3], got [5, 3, 1]."),
        ({"a": (torch.zeros(()), "3")}, "f(): a must have shape [3], got []."),
        (
            {"a": (np.zeros((5, 3)), "N 3"), "b": (np.zeros((4, 3)), "N 3")},
            "f(): N is 5 in a but 4 in b [4, 3].",
        ),
        ({"a": (np.zeros((5, 4)), "N N")}, "f(): N is 5 in a but 4 in a [5, 4]."),
    ],
)
def test_what_does_not_fit_is_told_in_one_sentence(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        check_shapes("f", **arguments)
    assert str(caught.value) == message
