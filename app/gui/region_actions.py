# SPDX-License-Identifier: MIT
"""What can be done about the region: where it is, what is cropped to it, and whether it alone is trained."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from app.gui import clipboard
from app.gui.look_edits import LookEdits
from app.undo import Edit
from app.view import regions
from engine.errors import UserError
from engine.messages import Event, Failed, SceneOpened, SetTrainRegion, TrainRegionChanged
from engine.region import Region

if TYPE_CHECKING:
    from app.gui.actions import Parts

_TRAINED = "train region"  # kind of edits that go with their model


class RegionActions:
    """Acts on the region of `Session.inspect`; a part of the desk that looks into the structure."""

    def __init__(self, parts: Parts, edits: LookEdits) -> None:
        self._parts, self._session, self._send, self._edits = parts, parts.session, parts.send, edits
        self._asked: tuple[Region | None, Region | None] | None = None  # what was trained, what is to be

    def actions(self) -> dict[str, Callable[[Any], None]]:
        """Return what commands and panels may ask for."""
        return {
            "region.handles": lambda _: self._toggle_handles(),
            "region.preset": self._preset,
            "region.set": lambda region: self._edits.show(
                "Move region", self._edits.changed(region=region), "region"
            ),
            "region.crop": lambda _: self._toggle_crop(),
            "region.crop_outside": lambda _: self._toggle_crop_outside(),
            "region.copy": lambda _: self._copy_region(),
            "region.paste": lambda _: self._paste_region(),
            "region.train": self._train_region,
        }

    def on_event(self, event: Event) -> None:
        """Hear an event; the session has followed it."""
        if isinstance(event, SceneOpened):
            self._session.undo.forget(_TRAINED)
        elif isinstance(event, TrainRegionChanged):
            self._trains(event.region)
        elif isinstance(event, Failed):
            self._asked = None

    def _toggle_handles(self) -> None:
        inspect = self._session.inspect
        inspect.handles = not inspect.handles
        if inspect.handles and inspect.look.region is None:
            # Round the whole box they may lie outside the picture.
            region = self._seen() or regions.scene_box()
            self._edits.show("Region", self._edits.changed(region=region))

    def _preset(self, name: str) -> None:
        """Put the region round the "scene", what is "seen", or the picked "voxel"."""
        inspect, up = self._session.inspect, self._session.scene.up
        region: Region | None = regions.scene_box()
        if name == "voxel":
            region = regions.around(inspect.picked.centre, inspect.picked.edge, up)
        elif name == "seen":
            region = self._seen()
        if region is None:
            self._parts.reports.note("there is nothing in the picture to put a region round")
            return
        inspect.handles = True
        self._edits.show("Region", self._edits.changed(region=region))

    def _seen(self) -> Region | None:
        """Return the region of the surfaces in the picture that is shown."""
        frame = self._parts.viewport.frame
        if frame is None:
            return None
        return regions.seen(frame.request.camera, frame.on_host().depth_z, self._session.scene.up)

    def _toggle_crop(self) -> None:
        look = self._session.inspect.look
        region = look.region or regions.scene_box()
        label = "Uncrop" if look.crop else "Crop what I see"
        self._edits.show(label, self._edits.changed(region=region, crop=not look.crop))

    def _toggle_crop_outside(self) -> None:
        look = self._session.inspect.look
        self._edits.show("Crop the other way", self._edits.changed(crop_outside=not look.crop_outside))

    def _copy_region(self) -> None:
        look, scene = self._session.inspect.look, self._session.scene
        copy(self._parts, regions.text_of(look.region, scene.data_from_engine), "region")

    def _paste_region(self) -> None:
        text = clipboard.paste()
        try:
            region = regions.region_of_text(text, self._session.scene.data_from_engine)
        except UserError as error:
            self._parts.reports.failed("The region was not pasted", error)
            return
        self._session.inspect.handles = True
        self._edits.show("Paste region", self._edits.changed(region=region))

    def _train_region(self, region: Region | None) -> None:
        """Train only a region from now on, or everything again."""
        self._asked = (self._session.inspect.train_region, region)
        self._send(SetTrainRegion(region))

    def _trains(self, region: Region | None) -> None:
        """The worker trains a region, or everything: an edit, if it was asked for here and not by undoing."""
        asked, self._asked = self._asked, None
        if asked is None:
            return
        before = asked[0]
        label = "Train everything" if region is None else "Train only here"
        edit = Edit(
            label,
            lambda: self._send(SetTrainRegion(before)),
            lambda: self._send(SetTrainRegion(region)),
            _TRAINED,
        )
        self._edits.seal()
        self._session.undo.push(edit)


def copy(parts: Parts, text: str, what: str) -> None:
    """Put a text on the clipboard and say so."""
    clipboard.copy(text)
    parts.reports.note(f"copied: {what}")
