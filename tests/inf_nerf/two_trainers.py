# SPDX-License-Identifier: MIT
"""A trainer of the library as torchrun would start it. Run as a program it trains both ways; the first process writes files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import torch

from engine.inf_nerf import InfNeRFTrainer
from engine.parallel import RENDEZVOUS
from tests.inf_nerf.small import small_trainer

STEPS = 6
MODEL = dict(appearance_dim=2, random_background=True)


def trainer(model: dict[str, Any] | None = None, **values: Any) -> InfNeRFTrainer:
    """Return the trainer that all have."""
    return small_trainer(
        MODEL | (model or {}), max_steps=STEPS, validate_every=3, lr_decay_steps=100, **values
    )


def main(out: Path) -> None:
    """Train as one of two processes."""
    torch.set_num_threads(1)
    meet = os.environ[RENDEZVOUS]
    for kind in ("data", "subtree"):
        os.environ[RENDEZVOUS] = f"{meet}-{kind}"
        made = trainer(distributed=True, parallel=kind, checkpoint_dir=str(out / kind))
        made.train()
        made.division.close()
    if made.division.rank == 0:
        trainer(checkpoint_dir=str(out / "one")).train()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
