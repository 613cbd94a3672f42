# SPDX-License-Identifier: MIT
"""Shape checks that say what was wanted and what came."""

from __future__ import annotations

from typing import Any


def check_shapes(caller: str, **named: tuple[Any, str]) -> dict[str, int]:
    """Check arrays against shapes such as "N 3"; a letter is one size throughout the call. Return the letters' sizes.

    Raises ValueError naming the caller, the argument, the wanted and the present shape.
    """
    sizes: dict[str, int] = {}
    first_seen: dict[str, str] = {}
    for argument, (array, spec) in named.items():
        wanted, shape = spec.split(), list(array.shape)
        fits = len(shape) == len(wanted)
        for letter, size in zip(wanted, shape, strict=False):
            fits = fits and (not letter.isdigit() or int(letter) == size)
        if not fits:
            raise ValueError(f"{caller}(): {argument} must have shape [{', '.join(wanted)}], got {shape}.")
        for letter, size in zip(wanted, shape, strict=True):
            if letter.isdigit():
                continue
            if sizes.setdefault(letter, size) != size:
                where = first_seen[letter]
                raise ValueError(
                    f"{caller}(): {letter} is {sizes[letter]} in {where} but {size} in {argument} {shape}."
                )
            first_seen.setdefault(letter, argument)
    return sizes
