# SPDX-License-Identifier: MIT
"""README.md's tables say what the registry and the declarations say."""

from __future__ import annotations

import pytest

from app import readme
from engine.methods.infnerf import InfNeRFConfig
from engine.methods.plenoxels import PlenoxelsConfig
from engine.methods.svraster import SVRasterConfig
from engine.options import describe


def test_the_readme_is_in_step_with_commands_and_options() -> None:
    text = readme.README.read_text(encoding="utf-8")
    assert readme.refreshed(text) == text, "run: python -m app.readme"


def test_every_option_has_its_row() -> None:
    text = readme.README.read_text(encoding="utf-8")
    configs = {
        "options": SVRasterConfig,
        "plenoxels options": PlenoxelsConfig,
        "infnerf options": InfNeRFConfig,
    }
    for name, config in configs.items():
        table = text.partition(f"<!-- {name}:start -->")[2].partition(f"<!-- {name}:end -->")[0]
        for info in describe(config):
            assert f"`--{info.name.replace('_', '-')}`" in table


def test_only_what_stands_between_markers_is_replaced() -> None:
    marks = [f"<!-- {name}:start -->\nstale row\n<!-- {name}:end -->" for name in readme.SECTIONS]
    text = "before\n" + "\n".join(marks) + "\nafter\n"
    fresh = readme.refreshed(text)
    assert fresh.startswith("before\n") and fresh.endswith("\nafter\n") and "stale row" not in fresh
    assert readme.refreshed(fresh) == fresh
    with pytest.raises(ValueError, match="commands:start"):
        readme.refreshed("nothing here")
