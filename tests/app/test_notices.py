# SPDX-License-Identifier: MIT
"""Which notices are shown: the newest few, good news for a while, warnings until somebody has seen them."""

from __future__ import annotations

import pytest

from app.notices import GOES_AFTER_S, MOST, Notices
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def texts(notices: Notices) -> list[str]:
    return [one.text for one in notices.shown()]


def test_good_news_goes_by_itself_and_a_warning_waits(clock: FakeClock) -> None:
    notices = Notices(clock)
    notices.add("saved")
    warning = notices.add("disk full", "warning")
    clock.sleep(GOES_AFTER_S)
    assert texts(notices) == ["disk full"]
    notices.dismiss(warning.id)
    assert notices.shown() == ()


def test_no_more_than_a_few_are_shown_and_warnings_stay_longest(clock: FakeClock) -> None:
    notices = Notices(clock)
    notices.add("disk full", "warning")
    for number in range(4):
        notices.add(f"news {number}")
    assert texts(notices) == ["disk full", "news 2", "news 3"] and MOST == 3
    for number in range(3):
        notices.add(f"warning {number}", "warning")
    assert texts(notices) == ["warning 0", "warning 1", "warning 2"]


def test_a_newer_notice_of_one_kind_takes_the_place_of_the_older(clock: FakeClock) -> None:
    notices = Notices(clock)
    notices.add("saved step 1", key="saved")
    notices.add("saved step 2", key="saved")
    assert texts(notices) == ["saved step 2"]


def test_nothing_new_is_the_same_as_before(clock: FakeClock) -> None:
    notices = Notices(clock)
    notices.add("saved")
    assert notices.shown() == notices.shown()


def test_an_unknown_kind_is_refused(clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="kind must be one of info, warning"):
        Notices(clock).add("?", "loud")
