# SPDX-License-Identifier: MIT
"""What a person would lose by leaving, or by opening something else. What is saved by itself is not asked about."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.session import Session

UNDER_WAY = ("waiting", "rendering")


@dataclass(frozen=True)
class Loss:
    """One thing: a sentence, and the action of the window that saves it ("": it can only be waited for)."""

    sentence: str
    save: str = ""


def losses(session: Session, leaving: bool = True) -> tuple[Loss, ...]:
    """Return what would be lost by leaving, or by opening something else: exports render copies, and go on then."""
    found = []
    if session.save_failed is not None and session.scene is not None:
        step = session.stats.step if session.stats is not None else 0
        reason = session.save_failed.chain[0] if session.save_failed.chain else "the disk refused it"
        found.append(Loss(f"Training up to step {step:,} could not be saved: {reason}", "save_checkpoint"))
    if session.path_unsaved:
        name = Path(session.path_file).name if session.path_file else "The camera path"
        found.append(Loss(f"{name} has edits that are in no file yet.", "path.save"))
    if leaving:
        found += [
            Loss(f"The export of the scene is under way ({stage}); it would be given up.")
            for stage in session.scene_exports.values()
        ]
    jobs = [job for job in session.jobs if leaving and job.state in UNDER_WAY]
    for job in jobs[:3]:
        share = f"at {job.done:,} of {job.total:,} frames" if job.total else "under way"
        found.append(Loss(f"The export of {Path(job.path).name} is {share}; it ends with what it has."))
    if len(jobs) > 3:
        found.append(Loss(f"{len(jobs) - 3} more exports are under way."))
    return tuple(found)


def can_save(found: tuple[Loss, ...]) -> bool:
    """Whether any of it can be saved."""
    return any(loss.save for loss in found)
