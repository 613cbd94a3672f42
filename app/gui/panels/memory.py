# SPDX-License-Identifier: MIT
"""The memory panel: what holds how much, a target that the model can be made to fit, and the mode without training."""

from __future__ import annotations

import dearpygui.dearpygui as dpg

from app.gui import formats
from app.gui.panels.base import COLOURS, BasePanel
from app.session import Session
from engine.messages import FitMemory, MemoryFitted, SetMode

MB = 1_000_000
DEFAULT_MB = 256
TRAINING, INFERENCE = "Training", "Inference"
# Names of Stats.memory -> label, tooltip; in the order they are shown
PARTS = {
    "model": ("Model", "Everything that the method holds."),
    "parameters": ("Parameters", "Densities and colours: what is learned."),
    "fields": ("Fields", "Hash tables and networks of all nodes that are in memory: what is learned."),
    "kept densities": ("Kept densities", "What each node remembers of where it is empty."),
    "appearance": ("Appearance", "A vector learned for each photo."),
    "optimiser": ("Optimiser", "Adam's running means, one pair a parameter."),
    "structure": ("Structure", "The octree, and how it lies for the kernels."),
    "statistics": ("Statistics", "What pruning and splitting go by, and which voxels share a corner."),
    "training buffers": ("Training buffers", "What a step works in: lists and gradients."),
    "view buffers": ("View buffers", "What a picture is drawn in."),
    "photos": ("Photos, shrunk", "Training photos at the sizes that are trained on."),
    "decoded photos": ("Photos, decoded", "Photos as they were read, up to --cache-mb."),
}
MODE_TIP = (
    "Inference: training rests and what only it needs is saved and dropped from memory. Training brings it back exactly as it "
    "was; so does whatever changes the model."
)


class MemoryPanel(BasePanel):
    """Parts, a bar against the target, fitting, the mode."""

    id, title = "memory", "Memory"

    def layout(self) -> None:
        """Mode on top, then what is held, then the target."""
        with self.form(0.3), self.field("Mode", "mode-label", MODE_TIP):
            dpg.add_radio_button(
                (TRAINING, INFERENCE),
                tag=self.tag("mode"),
                horizontal=True,
                default_value=TRAINING,
                callback=self._set_mode,
            )
        self.explain("mode", MODE_TIP)
        dpg.add_text("", tag=self.tag("freed"), wrap=0, color=COLOURS["accent"], show=False)
        with self.form(0.52):
            for name, (label, tip) in PARTS.items():
                self.number(label, name, tip)
                self.configure(f"{name}-row", show=False)
            self.number(
                "Whole program", "process", "Of the operating system's view: libraries and pictures included."
            )
        dpg.add_progress_bar(tag=self.tag("bar"), width=-1, overlay="no model yet")
        self.explain("bar", "The model without photos and buffers, against the target below.")
        with (
            self.form(0.52),
            self.field(
                "Target (MB)", "target-label", "How much the model may hold, photos and buffers apart."
            ),
        ):
            dpg.add_input_int(
                tag=self.tag("target"),
                default_value=DEFAULT_MB,
                min_value=1,
                min_clamped=True,
                width=-1,
                step=0,
            )
        dpg.add_button(label="Fit to target", tag=self.tag("fit"), width=-1, callback=self._fit)
        dpg.add_text("", tag=self.tag("fitted"), wrap=0, color=COLOURS["quiet"], show=False)

    def refresh(self, session: Session) -> None:
        """Show what the newest numbers say."""
        stats = session.stats
        self.put("mode", INFERENCE if session.inference else TRAINING)
        trained = stats is not None and stats.step > 0
        reason = None if trained or session.inference else "Nothing is trained yet."
        self.allow("mode", reason, MODE_TIP)
        self.configure("freed", show=session.inference)
        if session.inference:
            self.put("freed", f"Training rests and gave back {formats.size(session.freed_bytes)}.")
        parts = dict(stats.memory) if stats is not None else {}
        for name in PARTS:
            self.configure(f"{name}-row", show=name in parts)
            if name in parts:
                self.put(name, formats.size(parts[name]))
        if stats is not None:
            self.put("process", formats.size(stats.memory_bytes))
            self._show_target(session, stats.model_bytes)
        self._show_fitted(session.fitted)

    def _show_target(self, session: Session, held: int) -> None:
        target = MB * max(1, int(dpg.get_value(self.tag("target"))))
        self.put("bar", min(1.0, held / target))
        self.configure("bar", overlay=f"{formats.size(held)} of {formats.size(target)}")
        over = held > target
        if "parameters" not in dict(session.stats.memory):
            reason = "This method cannot be pruned to a target; lower its largest number of voxels instead."
        else:
            reason = None if over else "The model is within the target already."
        self.allow(
            "fit",
            reason,
            "Merge voxels that look alike, and drop the lightest, until the model fits; keep it from growing back.",
        )

    def _show_fitted(self, done: MemoryFitted | None) -> None:
        self.configure("fitted", show=done is not None)
        if done is not None:
            self.put("fitted", fitted_text(done))

    def _set_mode(self) -> None:
        self.context.send(SetMode(dpg.get_value(self.tag("mode")) == INFERENCE))
        self.forget("mode")  # until it is in force, the present one is shown

    def _fit(self) -> None:
        self.context.send(FitMemory(MB * max(1, int(dpg.get_value(self.tag("target"))))))


def fitted_text(done: MemoryFitted) -> str:
    """Return what fitting did, for people."""
    if done.voxels_after == done.voxels_before:
        return f"Nothing was changed: the model holds {formats.size(done.bytes_after)}."
    missed = "" if done.bytes_after <= done.target_bytes else " No fewer voxels can be left."
    return (
        f"{formats.count(done.voxels_after)} voxels are left of {formats.count(done.voxels_before)}: "
        f"{formats.size(done.bytes_after)} instead of {formats.size(done.bytes_before)}, PSNR "
        f"{formats.decibels(done.psnr_after)} instead of {formats.decibels(done.psnr_before)} over a few views.{missed}"
    )
