# SPDX-License-Identifier: MIT
"""One training step: rays, samples, fields there and back, Adam, and what is known to be empty. A friend of `model.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from engine.cpu.composite import composite_gradients
from engine.cpu.crew import crew
from engine.cpu.node_adam import adam_touched
from engine.cpu.node_field import backward, forward
from engine.cpu.occupancy import probes, refresh, take_in
from engine.cpu.route import level_of_all
from engine.methods.common import StepReport
from engine.methods.infnerf.march import directions_of, place_samples
from engine.methods.infnerf.photos import Batch
from engine.methods.infnerf.rays import Rays
from engine.methods.infnerf.regularise import draw_places, level_and_transparency

if TYPE_CHECKING:
    from engine.methods.infnerf.model import InfNeRF
