# SPDX-License-Identifier: MIT
"""The places where threads meet the worker: latest-wins slots, the inbox it sleeps on, the queue of events.

Nothing here waits for long or knows what a model is; every method may be called from any thread.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import Generic, TypeVar

from engine.messages import Command, Event, Stop, ViewRequest

T = TypeVar("T")


class Latest(Generic[T]):
    """Holds one value; a newer one replaces it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._value: T | None = None

    def put(self, value: T) -> None:
        """Replace what is there."""
        with self._lock:
            self._value = value

    def peek(self) -> T | None:
        """Return the newest value, or None if there never was one."""
        return self._value

    def take(self) -> T | None:
        """Return the newest value and empty the slot; None if nothing came since."""
        with self._lock:
            value, self._value = self._value, None
            return value


class Inbox:
    """Commands in order and the newest view request; the worker sleeps here when it has nothing to do."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._commands: deque[Command] = deque()
        self._request: ViewRequest | None = None
        self._nudged = False

    def send(self, command: Command) -> None:
        """Queue a command. One with a `supersedes` key takes out the queued ones with the same key."""
        with self._condition:
            if command.supersedes is not None:
                kept = [c for c in self._commands if c.supersedes != command.supersedes]
                self._commands = deque(kept)
            self._commands.append(command)
            self._condition.notify()

    def request(self, request: ViewRequest) -> None:
        """Ask for a view in place of the one that was asked for before."""
        with self._condition:
            self._request = request
            self._condition.notify()

    def nudge(self) -> None:
        """Wake the worker: something outside it may have changed."""
        with self._condition:
            self._nudged = True
            self._condition.notify()

    def next_command(self) -> Command | None:
        """Return the oldest command, or None. One at a time, so that later ones may still be superseded."""
        if not self._commands:  # safe without the lock, which stays out of every training step
            return None
        with self._condition:
            return self._commands.popleft() if self._commands else None

    @property
    def stop_waits(self) -> bool:
        """Whether the worker was told to stop, after whatever else is queued."""
        with self._condition:
            return any(isinstance(command, Stop) for command in self._commands)

    @property
    def has_request(self) -> bool:
        """Whether a view request waits."""
        return self._request is not None

    def take_request(self) -> ViewRequest | None:
        """Return the newest view request and forget it."""
        with self._condition:
            request, self._request = self._request, None
            return request

    def put_back(self, request: ViewRequest) -> None:
        """Ask again for a view that was taken and not finished, unless another was asked for since."""
        with self._condition:
            if self._request is None:
                self._request = request

    @property
    def presses(self) -> bool:
        """Whether a command or a view request waits: a reason to end what takes long."""
        return self._request is not None or bool(self._commands)

    def wait(self, timeout: float | None, ignore_request: bool = False) -> bool:
        """Sleep until a command, a request (unless ignored) or a nudge comes, at most `timeout` seconds; return whether one came
        in time."""

        def awake() -> bool:
            return bool(self._commands) or self._nudged or (self._request is not None and not ignore_request)

        with self._condition:
            came = self._condition.wait_for(awake, timeout)
            self._nudged = False
            return came


class EventQueue:
    """Events in order; none is dropped."""

    def __init__(self) -> None:
        self._events: deque[Event] = deque()

    def put(self, event: Event) -> None:
        """Append an event; a deque's append is atomic."""
        self._events.append(event)

    def drain(self) -> list[Event]:
        """Return all events since the last call, oldest first."""
        drained: list[Event] = []
        while True:
            try:
                drained.append(self._events.popleft())
            except IndexError:
                return drained
