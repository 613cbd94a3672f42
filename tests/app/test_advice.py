# SPDX-License-Identifier: MIT
"""Each advice answers the message that the system or a library really gives."""

from __future__ import annotations

import errno
import importlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from app.advice import _ADVICE, FAULT, advise
from engine.errors import RunInUseError, SceneError, UserError, cause_chain


def chain_of(act: Callable[[], Any]) -> list[str]:
    """The messages of the error that something raises, as the worker would send them."""
    with pytest.raises(Exception) as caught:
        act()
    return cause_chain(caught.value)


def system(code: int) -> Callable[[], Any]:
    def act() -> None:
        raise OSError(code, os.strerror(code))

    return act


def truncated_photo() -> None:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(file, "JPEG")
    Image.open(io.BytesIO(file.getvalue()[:-600])).load()


def raised(error: BaseException) -> Callable[[], Any]:
    def act() -> None:
        raise error

    return act


PROVOKED: list[tuple[Callable[[], Any], str]] = [
    (raised(RunInUseError(Path("runs/lego"), "process 12")), "Open run to follow"),
    (system(errno.ENOSPC), "Make room on the disk"),
    (system(errno.EACCES), "may write to"),
    (system(errno.EROFS), "may write to"),
    (system(errno.EMFILE), "ulimit"),
    (lambda: open("nowhere/at/all"), "moved, renamed or deleted"),
    (lambda: Image.open(io.BytesIO(b"no picture")), "photo is damaged"),
    (truncated_photo, "photo is damaged"),
    (lambda: json.loads("{no json"), "damaged or no JSON"),
    (lambda: b"\xff\xfe".decode("utf-8"), "something else than text"),
    (lambda: importlib.import_module("nerfviewer_has_no_such_part"), "nerfviewer doctor"),
    (lambda: np.empty(1 << 50, np.float64), "Close other programs"),
    (raised(RuntimeError("CUDA error: an illegal memory access was encountered")), "--device cpu"),
    (raised(type("GLError", (Exception,), {})("no context")), "--present copy"),
    (raised(RuntimeError("process 2 of 4 was ended from outside (SIGKILL)")), "ended from outside"),
]


@pytest.mark.parametrize(("act", "words"), PROVOKED)
def test_an_error_gets_the_advice_for_it(act: Callable[[], Any], words: str) -> None:
    assert words in advise(chain_of(act))


def test_every_advice_was_provoked_and_is_whole_sentences() -> None:
    found = {advise(chain_of(act)) for act, _ in PROVOKED}
    assert found == {advice for _, advice in _ADVICE}
    assert all(advice[0].isupper() and advice.endswith(".") for advice in (*found, FAULT))


def test_the_cause_below_a_sentence_of_ours_is_answered() -> None:
    def act() -> None:
        try:
            system(errno.ENOSPC)()
        except OSError as error:
            raise UserError("Cannot write the film. Choose another folder.") from error

    assert "Make room" in advise(chain_of(act))


def test_a_sentence_of_ours_needs_no_advice_and_a_fault_is_owned_up_to() -> None:
    assert advise(chain_of(raised(SceneError("There is no scene in x. Correct the path.")))) == ""
    assert advise(chain_of(lambda: [][1])) == FAULT
    assert advise(()) == ""
