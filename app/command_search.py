# SPDX-License-Identifier: MIT
"""Which entries somebody means by some letters: fuzzy search for the command palette. Knows no window.

The letters of each word must come in this order. Letters that begin words, or follow each other, count more; so does a
label more than a help text; what was chosen lately comes first among equals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

LABEL_WORTH, GROUP_WORTH, TEXT_WORTH = 1.0, 0.5, 0.35
START_WORTH, FOLLOW_WORTH, LETTER_WORTH = 3.0, 2.0, 1.0
RECENT_WORTH = 0.3  # of the newest; older ones count less


@dataclass(frozen=True)
class Entry:
    """Something that can be chosen: `key` is its identity, `group` its menu or kind, `text` what it does."""

    key: str
    label: str
    group: str
    text: str = ""
    chord: str = ""
    reason: str | None = None  # why it cannot be chosen now
    act: Callable[[], Any] | None = None


def match(query: str, text: str) -> float:
    """Return how well a text answers a word, 0 (not) to 1 (begins with it)."""
    query, text = query.casefold(), text.casefold()
    if not query or len(query) > len(text):
        return 0.0
    best = 0.0
    start = text.find(query[0])
    while start >= 0:
        best = max(best, _from(query, text, start))
        start = text.find(query[0], start + 1)
    return best / (START_WORTH + FOLLOW_WORTH * (len(query) - 1) + 1.0)


def _from(query: str, text: str, start: int) -> float:
    """Return the worth of the letters of a word in a text from a place on, 0 if they are not all there."""
    worth, place = 1.0 / (1.0 + start), start
    worth += START_WORTH if _begins(text, start) else LETTER_WORTH
    for letter in query[1:]:
        if text.startswith(letter, place + 1):
            place, gain = place + 1, FOLLOW_WORTH
        else:
            found = _next_start(text, letter, place + 1)
            gain = LETTER_WORTH
            if found < 0:
                found, gain = text.find(letter, place + 1), 0.25 * LETTER_WORTH
            if found < 0:
                return 0.0
            place = found
        worth += gain
    return worth


def _begins(text: str, place: int) -> bool:
    return place == 0 or not text[place - 1].isalnum()


def _next_start(text: str, letter: str, place: int) -> int:
    """Return where the next word that begins with a letter does, -1 without one."""
    while (place := text.find(letter, place)) >= 0 and not _begins(text, place):
        place += 1
    return place


def score(query: str, entry: Entry) -> float:
    """Return how well an entry answers all words of a query; 0 if one of them is nowhere in it."""
    total, words = 0.0, query.split()
    for word in words:
        fields = (entry.label, LABEL_WORTH), (entry.group, GROUP_WORTH), (entry.chord, GROUP_WORTH)
        best = max(worth * match(word, text) for text, worth in fields)
        if (
            len(word) > 2 and word.casefold() in entry.text.casefold()
        ):  # scattered letters of a sentence mean nothing
            best = max(best, TEXT_WORTH * match(word, entry.text), 0.1 * TEXT_WORTH)
        if best <= 0.0:
            return 0.0
        total += best
    return total / max(1, len(words))


def rank(query: str, entries: Iterable[Entry], recent: Sequence[str] = (), limit: int = 60) -> list[Entry]:
    """Return the entries that answer a query, best first; all of them for an empty one, recent ones first.

    What cannot be chosen now comes after what answers about as well and can.
    """
    age = {key: place for place, key in enumerate(recent)}
    rated: list[tuple[float, int, Entry]] = []
    for place, entry in enumerate(entries):
        worth = score(query, entry) if query.strip() else 0.01
        if worth <= 0.0:
            continue
        if entry.key in age:
            bonus = RECENT_WORTH / (1.0 + age[entry.key])
            worth += bonus if not query.strip() else bonus * worth
        elif entry.reason is not None:
            worth *= 0.8
        rated.append((-worth, place, entry))
    rated.sort(key=lambda one: one[:2])
    return [entry for _, _, entry in rated[:limit]]
