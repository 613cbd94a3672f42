# SPDX-License-Identifier: MIT
"""The panels of the window in their order: (slot, what makes the panel); slots are "left", "right", "timeline" and "bottom"."""

from __future__ import annotations

from collections.abc import Callable

from app.gui.panel import Panel
from app.gui.panels.capture import CapturePanel
from app.gui.panels.compare import ComparePanel
from app.gui.panels.curves import CurvesPanel
from app.gui.panels.diagnosis import DiagnosisPanel
from app.gui.panels.export import ExportPanel
from app.gui.panels.inspect import InspectPanel
from app.gui.panels.log import LogPanel
from app.gui.panels.memory import MemoryPanel
from app.gui.panels.nodes import NodesPanel
from app.gui.panels.objective import ObjectivePanel
from app.gui.panels.options import OptionsPanel
from app.gui.panels.region import RegionPanel
from app.gui.panels.scene import ScenePanel
from app.gui.panels.structure import StructurePanel
from app.gui.panels.timeline import TimelinePanel
from app.gui.panels.training import TrainingPanel
from app.gui.panels.view import ViewPanel
from app.gui.panels.views import ViewsPanel

PANELS: tuple[tuple[str, Callable[[], Panel]], ...] = (
    ("left", ScenePanel),
    ("left", CapturePanel),
    ("left", TrainingPanel),
    ("left", DiagnosisPanel),
    ("left", ObjectivePanel),
    ("left", OptionsPanel),
    ("right", ViewPanel),
    ("right", ComparePanel),
    ("right", StructurePanel),
    ("right", InspectPanel),
    ("right", RegionPanel),
    ("right", NodesPanel),
    ("right", MemoryPanel),
    ("right", ExportPanel),
    ("timeline", TimelinePanel),
    ("bottom", CurvesPanel),
    ("bottom", ViewsPanel),
    ("bottom", LogPanel),
)
