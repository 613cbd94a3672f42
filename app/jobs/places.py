# SPDX-License-Identifier: MIT
"""Where an export's pictures and their layers go, and which of them are there already."""

from __future__ import annotations

from pathlib import Path

from app.jobs.orders import ExportOrder
from engine.export import resume
from engine.export.developing import Developed
from engine.export.layers import DepthFolder, normal_colours
from engine.export.sequence import open_writer
from engine.messages import Began
from engine.shots import Film


class Places:
    """The writers of one export. Raises UserError, before anything is written, where the place will not do."""

    def __init__(self, order: ExportOrder) -> None:
        self._order = order
        self._goes_on = order.is_sequence and isinstance(order.film, Film)  # what was stopped may be resumed
        if order.anew and self._goes_on:
            resume.clear(order.path)
        n = len(order.film) if order.every is None else 0
        self._colours = open_writer(
            order.path, order.fps, order.quality, order.size, n, resumes=self._goes_on
        )
        if self._goes_on:
            resume.check(order.path, self._manifest("", 0), but=("method", "step"))
        self._depths = self._normals = None
        if "depth" in order.layers:
            self._forget_other(order.depth_path)
            self._depths = DepthFolder(order.depth_path, order.depth, order.data_scale)
        if "normal" in order.layers:
            if not order.normal_path.suffix:
                self._forget_other(order.normal_path)
            self._normals = open_writer(
                order.normal_path, order.fps, order.quality, order.size, n, resumes=True
            )
        self._films = [self._colours, *([] if self._normals is None else [self._normals])]

    def kept(self) -> frozenset[int]:
        """Return the pictures of this export that are there already, with all their layers."""
        order = self._order
        if not self._goes_on:
            return frozenset()
        kept = self._whole(order.path)
        if self._depths is not None:
            kept &= self._whole(order.depth_path)
        if self._normals is not None:
            kept &= self._whole(order.normal_path)
        return kept

    def begin(self, began: Began) -> None:
        """Hear which model is shown: a folder with pictures of another one is refused, an empty one says what it gets."""
        if self._goes_on:
            manifest = self._manifest(began.method, resume.LIVE if self._order.live else began.step)
            resume.check(self._order.path, manifest)
            self._colours.note(resume.NAME, manifest.text())

    def write(self, index: int, picture: Developed) -> None:
        """Write a picture and its layers."""
        self._colours.write(index, picture.rgb)
        if self._depths is not None:
            shot = self._order.film[min(index, len(self._order.film) - 1)]
            moments = shot.takes[0]
            camera = moments[len(moments) // 2] if len(shot.takes) == 1 else None
            self._depths.write(index, picture.depth, camera, shot.projection == "360")
        if self._normals is not None:
            self._normals.write(index, normal_colours(picture.normal))

    def finish(self) -> None:
        """Make everything appear in its place."""
        for writer in self._films:
            writer.finish()

    def stop(self) -> Path:
        """Make what there is appear in its place; return the colours' place."""
        for writer in self._films:
            writer.stop()
        return self._colours.path

    def discard(self) -> None:
        """Remove what is of no use after a failure: all but whole pictures, from which the same export can go on."""
        for writer in self._films:
            try:
                writer.stop() if self._goes_on else writer.discard()
            except OSError:
                pass  # the outcome says already that there is no export

    def remove(self) -> None:
        """Remove everything that this job wrote."""
        for writer in self._films:
            writer.discard()

    def _forget_other(self, folder: Path) -> None:
        """Delete an earlier export's layer, unless it is this one's that goes on."""
        if not self._goes_on or self._order.anew or not self._whole(self._order.path):
            resume.clear(folder)

    def _whole(self, folder: Path) -> frozenset[int]:
        return resume.whole_pictures(folder, len(self._order.film))

    def _manifest(self, method: str, step: int) -> resume.Manifest:
        order = self._order
        return resume.manifest_of(order.film, order.look(), order.scene, method, step)
