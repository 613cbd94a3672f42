# SPDX-License-Identifier: MIT
"""Adam that moves only what has a gradient: most nodes' entries have none in a step, and none of theirs should drift."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor


class TouchedAdam(torch.optim.Optimizer):
    """Adam whose rows, all axes but the last, keep value, moments and age where their gradient is 0.

    The bias of the moments is corrected by how often a row was moved, so one that is rarely seen takes full steps. Ages are
    kept per row, float32 as torch's own Adam has them.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 1e-2,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-15,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """Take a step along the gradients."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None and parameter.numel():
                    self._step(parameter, group)

    @staticmethod
    def fresh(parameter: Tensor) -> dict[str, Tensor]:
        """Return a parameter's state before its first step."""
        width = parameter.shape[-1] if parameter.ndim > 1 else 1
        values = parameter.detach()
        age = values.new_zeros(parameter.numel() // max(width, 1))
        return {"m": torch.zeros_like(values), "v": torch.zeros_like(values), "age": age}

    def _step(self, parameter: Tensor, group: dict) -> None:
        state, (beta1, beta2) = self.state[parameter], group["betas"]
        width = parameter.shape[-1] if parameter.ndim > 1 else 1
        if not state:
            state.update(self.fresh(parameter))
        grad = parameter.grad.reshape(-1, width)
        rows = torch.nonzero((grad != 0.0).any(dim=1))[:, 0]
        if not len(rows):
            return
        values, m, v = (x.view(-1, width) for x in (parameter.data, state["m"], state["v"]))
        g = grad[rows]
        state["age"][rows] += 1.0
        age = state["age"][rows, None]
        new_m = beta1 * m[rows] + (1.0 - beta1) * g
        new_v = beta2 * v[rows] + (1.0 - beta2) * g.square()
        m[rows], v[rows] = new_m, new_v
        step = new_m / (1.0 - beta1**age)
        values[rows] -= group["lr"] * step / ((new_v / (1.0 - beta2**age)).sqrt() + group["eps"])

    def carried(self, params: Iterable[Tensor], rows: Tensor, nodes: int) -> TouchedAdam:
        """Return the optimiser of parameters that hold these rows int64 [n] of what had `nodes` of them along its first axis.

        Parameters come in the same order; one of another length is taken to be the same as before.
        """
        group = self.param_groups[0]
        new = TouchedAdam(params, group["lr"], group["betas"], group["eps"])
        for before, after in zip(group["params"], new.param_groups[0]["params"]):
            state = self.state.get(before)
            if not state:
                continue
            per_node = before.shape[0] == nodes and after.shape[0] == len(rows)
            new.state[after] = {
                name: value.view(nodes, -1)[rows].reshape(-1, *value.shape[1:]) if per_node else value
                for name, value in state.items()
            }
        return new
