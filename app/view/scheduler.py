# SPDX-License-Identifier: MIT
"""When to ask the worker for a picture, and how large: smooth in motion, gentle to training at rest.

While it moves, every change is served at about 30 pictures a second, at the scale that fits the time. At rest
the picture is sharp: once, if nothing trains; else refreshed so that training keeps its share `u`, that is
after u / (1 - u) times the picture's cost. A picture that takes long (marched rays on a processor) comes coarse at
first and then finer, twice as wide and high each time; while something trains no finer than training can spare. One
request is in flight at a time, but a slow picture is given up for the next as soon as the camera moves. All times are
seconds of the given clock.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from engine.messages import TrainState

FRAME_S = 1 / 30
MIN_RENDER_S = 1 / 60  # what a picture may cost even behind a long training step
SPACING_S = (
    0.75 * FRAME_S
)  # between moving requests while training; less than a frame, for the window ticks unevenly
MIN_SCALE = 0.25
FIRST_SCALE = 0.5  # while moving, before any cost is known
HYSTERESIS = 1.2  # the moving scale stays until the right number of pixels differs by this factor
SETTLE_S = 0.2  # from the last input to the sharp picture
REFRESH_S = (
    0.25  # a resting picture is at most this old while training, as long as that leaves training GUARD_SHARE
)
GUARD_SHARE = 0.85
TRUSTED_FRAMES = 4
FIRST_LOOK_S = 0.1  # a resting picture that would take longer comes coarse first
FINER = 2.0  # times as wide and high is the next one
SPARED_S = 0.35  # what a resting picture may take while something trains
COARSEST = 0.125  # of pictures that take long
MAX_TICK_S = 0.1
TIMEOUT_S = 2.0  # a request that was never answered is forgotten after this
DEAR_TIMEOUT_S = 20.0  # the same of a model whose pictures may take long
IDLE_STATES = (TrainState.EMPTY, TrainState.LOADING)  # nothing to show


class CostModel:
    """Seconds per picture as a line a + b * pixels, fitted robustly to recent ones.

    The slope is the median over all pairs (Theil and Sen), so that a hiccup in a few of them changes nothing.
    A factor, the median of the last three ratios of real to fitted cost, follows quickly when the scene
    becomes dearer.
    """

    def __init__(self, memory: int = 24) -> None:
        self._frames: deque[tuple[float, float]] = deque(maxlen=memory)
        self._a, self._b, self._factor = 0.0, 0.0, 1.0

    @property
    def known(self) -> bool:
        """Whether any picture was measured."""
        return bool(self._frames)

    @property
    def trusted(self) -> bool:
        """Whether enough pictures were measured to outvote a first one that had kernels to compile."""
        return len(self._frames) >= TRUSTED_FRAMES

    def add(self, pixels: int, seconds: float) -> None:
        """Learn from one picture."""
        self._frames.append((float(pixels), seconds))
        x, y = np.array(self._frames).T
        dx, dy = x[:, None] - x, y[:, None] - y
        apart = dx > 0.1 * x.max()
        # Pictures of one size do not tell the slope: most of the cost is then taken to grow with the pixels.
        slope = np.median(dy[apart] / dx[apart]) if apart.sum() >= 3 else 0.7 * np.median(y / x)
        self._b = float(np.clip(slope, 0.0, np.median(y / x)))
        self._a = max(0.0, float(np.median(y - self._b * x)))
        fitted = np.maximum(self._a + self._b * x[-3:], 1e-6)
        self._factor = float(np.median(y[-3:] / fitted))

    def seconds(self, pixels: float) -> float:
        """Return the expected cost of a picture."""
        return self._factor * (self._a + self._b * pixels)

    def pixels(self, seconds: float) -> float:
        """Return how many pixels fit into a time; infinitely many if pixels cost nothing."""
        left = seconds - self._factor * self._a
        return left / max(self._factor * self._b, 1e-15) if left > 0.0 else 0.0


@dataclass(frozen=True)
class Decision:
    """Ask the worker now for a picture `scale` times the viewport's size; `serial` is for the ViewRequest."""

    serial: int
    scale: float
    moving: bool


class FrameScheduler:
    """Decides size and moment of view requests. Tell it what happens, `poll` once per window frame."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.cost = CostModel()
        self._clock = clock
        self._size = (1, 1)
        self._pixels = 1
        self._utilisation = 0.94
        self._max_scale = 1.0
        self._state = TrainState.EMPTY
        self._train_s = 0.0  # one training step
        self._serial = 0
        self._in_flight: tuple[int, float] | None = None  # serial, when it was sent
        self._last_input_s = -np.inf
        self._last_sent_s = -np.inf
        self._last_frame_s = -np.inf
        self._tick_s = 1 / 60  # between two polls
        self._last_poll_s = -np.inf
        self._stale = True  # something changed that must be shown at once
        self._structure_stale = False  # something changed that must be shown soon
        self._moving_scale: float | None = None
        self._sent_moving = True
        self._still_scale = 0.0  # of the last resting picture
        self._dear = False  # pictures of this model may take long; nothing is known yet

    @property
    def moving(self) -> bool:
        """Whether the last input is so recent that speed counts more than sharpness."""
        return self._clock() - self._last_input_s < SETTLE_S

    # --- what happened --------------------------------------------------------------------------------------

    def resized(self, width: int, height: int) -> None:
        """The viewport has another size."""
        if (width, height) != self._size:
            self._size = width, height
            self._pixels = max(1, width * height)
            self._stale = True

    def camera_changed(self) -> None:
        """The camera moved, by the mouse, a key or an animation."""
        self._last_input_s = self._clock()
        self._stale = True

    def setting_changed(self) -> None:
        """The mode, colour map, background or whatever else shapes the picture is another one."""
        self._stale = True

    def structure_changed(self) -> None:
        """Voxels were pruned or split, or the model became another one: show it, even if nothing trains."""
        self._structure_stale = True

    def expect(self, dear: bool) -> None:
        """Another model is shown, whose pictures may take long: the first is coarse, and nothing learned before counts."""
        self.cost, self._dear = CostModel(), dear
        self._still_scale, self._moving_scale = 0.0, None

    def configure(self, utilisation: float, max_scale: float) -> None:
        """Take the user's settings: training's share at rest (0..0.99) and the scale of a sharp picture."""
        max_scale = max(max_scale, MIN_SCALE)
        if max_scale != self._max_scale:
            self._max_scale = max_scale
            self._stale = True
        self._utilisation = min(max(utilisation, 0.0), 0.99)

    def state_changed(self, state: TrainState) -> None:
        """The worker entered a state: whatever it is, the picture of that moment is wanted."""
        if self._state in IDLE_STATES or state in IDLE_STATES:
            self._in_flight = None  # asked of a model that is gone
        self._stale = self._stale or state != self._state
        self._state = state

    def step_took(self, train_ms: float) -> None:
        """A training step takes so long at present."""
        self._train_s = 1e-3 * max(0.0, train_ms)

    def frame_received(self, serial: int, render_ms: float, pixels: int) -> None:
        """A picture came back."""
        self.cost.add(pixels, 1e-3 * render_ms)
        if self._in_flight is not None and serial >= self._in_flight[0]:
            self._in_flight = None
            self._last_frame_s = self._clock()

    def frame_lost(self) -> None:
        """The request in flight failed. It is not repeated before something changes."""
        self._in_flight = None
        self._last_frame_s = self._clock()

    # --- what to do -----------------------------------------------------------------------------------------

    def poll(self, waiting: bool = False) -> Decision | None:
        """Return the request to make now, or None.

        `waiting` says that the last request has not been begun, so that a newer one may take its place:
        behind a long training step the picture then shows where the camera is, not where it was.
        """
        now = self._clock()
        self._tick_s += 0.1 * (min(now - self._last_poll_s, MAX_TICK_S) - self._tick_s)
        self._last_poll_s = now
        if self._state in IDLE_STATES:
            return None
        if self._in_flight is not None:
            if now - self._in_flight[1] > self._patience():
                self._in_flight = None
                self._stale = True
            elif not (self._stale and (waiting or self._gives_up())):
                return None
        moving = self.moving
        if not (self._due_moving(now) if moving else self._due_still(now)):
            return None
        return self._send(now, self._scale_moving() if moving else self._scale_still(), moving)

    def _patience(self) -> float:
        """Return how long a request may go unanswered: one that takes long would be given up for its repetition."""
        expected = self.cost.seconds(self._pixels)
        return max(TIMEOUT_S, 4.0 * expected) if not self._dear else max(DEAR_TIMEOUT_S, 10.0 * expected)

    def _gives_up(self) -> bool:
        """Whether the picture in flight is one that the worker gives up for a newer request."""
        if not self._dear or self._sent_moving:  # in motion the next picture would be given up as well
            return False
        return self.cost.seconds(self._pixels * self._still_scale**2) > FIRST_LOOK_S

    def _due_moving(self, now: float) -> bool:
        spacing = SPACING_S if self._state is TrainState.TRAINING else 0.5 * SPACING_S
        return (self._stale or self._structure_stale) and now - self._last_sent_s >= spacing

    def _due_still(self, now: float) -> bool:
        if self._stale or self._sent_moving:
            return True
        if self._state is not TrainState.TRAINING:
            return self._structure_stale or self._still_scale < self._finest_still()
        finest = self._finest_still()
        if self._still_scale < finest / HYSTERESIS and self.cost.known:
            scale = min(finest, FINER * self._still_scale)
            return now - self._last_frame_s >= _gap(GUARD_SHARE, self.cost.seconds(self._pixels * scale**2))
        view_s = self.cost.seconds(self._pixels * finest**2)
        since = now - self._last_frame_s
        guard_s = _gap(min(self._utilisation, GUARD_SHARE), view_s) if self.cost.trusted else 0.0
        if self._structure_stale:
            return since >= guard_s
        # Between two pictures lie also the picture's own cost, half a training step until the worker is free, and a tick
        # of the window: half of one until it sees a picture, half until it asks for the next.
        refresh_s = REFRESH_S - view_s - 0.5 * self._train_s - self._tick_s
        return since >= max(guard_s, min(_gap(self._utilisation, view_s), refresh_s))

    def _scale_moving(self) -> float:
        coarsest = COARSEST if self._dear else MIN_SCALE
        if not self.cost.known:
            return min(coarsest if self._dear else FIRST_SCALE, self._max_scale)
        training = self._state is TrainState.TRAINING
        budget_s = max(MIN_RENDER_S, FRAME_S - self._train_s) if training else FRAME_S
        right = self._scale_for(budget_s)
        right = min(max(right, coarsest), max(self._max_scale, coarsest))
        last = self._moving_scale
        if last is None or last > self._max_scale or not 1 / HYSTERESIS < (right / last) ** 2 < HYSTERESIS:
            self._moving_scale = right
        return self._moving_scale

    def _finest_still(self) -> float:
        """Return the scale of resting pictures once nothing is left to refine."""
        if not self._dear or self._state is not TrainState.TRAINING or not self.cost.known:
            return self._max_scale
        return min(self._max_scale, max(self._scale_for(SPARED_S), COARSEST))

    def _scale_for(self, seconds: float) -> float:
        return float(np.sqrt(self.cost.pixels(seconds) / self._pixels))

    def _scale_still(self) -> float:
        """Return the next scale at rest: coarse where something changed that takes long to draw, else the next finer."""
        finest = self._finest_still()
        if not self._dear:
            first = finest
        else:
            first = max(self._scale_for(FIRST_LOOK_S), COARSEST) if self.cost.known else COARSEST
        changed = self._stale or self._sent_moving or self._structure_stale
        refreshed = changed and self._state is TrainState.TRAINING and not self._sent_moving
        if refreshed and self.cost.known and self._still_scale:
            first = finest  # the same view of a newer model: no blurred picture in between
        self._still_scale = min(finest, first if changed else max(first, FINER * self._still_scale))
        return self._still_scale

    def _send(self, now: float, scale: float, moving: bool) -> Decision:
        self._serial += 1
        first_sent = now if self._in_flight is None else self._in_flight[1]
        self._in_flight = (self._serial, first_sent)
        self._last_sent_s = now
        self._stale = self._structure_stale = False
        self._sent_moving = moving
        return Decision(self._serial, scale, moving)


def _gap(share: float, view_s: float) -> float:
    """Return how long training must run between two pictures to have a share of the time."""
    return share / (1.0 - share) * view_s
