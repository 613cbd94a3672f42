# SPDX-License-Identifier: MIT
"""Each method does what it says it can do with its structure, and refuses the rest in its own sentence."""

from __future__ import annotations

import pytest

from engine.errors import UserError
from engine.methods.common import create_method
from engine.methods.inspection import Inspection, inspection_of
from engine.options import updated
from engine.region import Region
from tests.methods.test_frozen import MODELS

ALL = Region((0.0, 0.0, 0.0), (0.6, 0.6, 0.6))
DEEDS = {  # capability -> method, and arguments to ask for it with
    "preview_boxes": ("preview", (9, None)),
    "pick": ("pick", (None, 0.0, 0.0, None)),
    "details": ("details", ((),)),
    "train_region": ("set_train_region", (ALL,)),
    "delete_region": ("delete", (ALL, False)),
    "prune_region": ("prune", (ALL,)),
    "subdivide_region": ("subdivide", (ALL,)),
}


@pytest.mark.parametrize("name", ["svraster", "plenoxels", "infnerf"])
@pytest.mark.parametrize("capability", DEEDS)
def test_what_a_method_says_it_can_do_it_does(name: str, capability: str) -> None:
    config, values, scene = MODELS[name]
    tools = inspection_of(create_method(name, scene, updated(config, values), 1))
    deed, arguments = DEEDS[capability]
    if capability in tools.can:
        assert getattr(type(tools), deed) is not getattr(Inspection, deed)
        return
    with pytest.raises(UserError) as refused:
        getattr(tools, deed)(*arguments)
    assert str(refused.value) == tools.cannot[capability]
