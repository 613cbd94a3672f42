# SPDX-License-Identifier: MIT
"""An import says in sentences what it achieved, and why it achieved too little."""

from __future__ import annotations

import json

from engine.sfm.report import ImportReport, too_few, why_too_few

NAMES = [f"{i}.jpg" for i in range(29)]
PAIRS = {(a, b): 200 for a in NAMES for b in NAMES if a < b}


def test_a_report_names_what_is_missing_and_survives_json():
    report = ImportReport(
        "s", 29, 27, 0.973, 4511, ("3.jpg", "4.jpg"), (("x.heic", "HEIC"),), ("PINHOLE",), (5,)
    )
    text = " ".join(report.lines())
    assert "27 of 29 photos are placed, mean reprojection error 0.97 px, 4,511 points." in text
    assert "Not placed: 3.jpg, 4.jpg." in text and "x.heic (HEIC)" in text and "groups of 5" in text
    assert ImportReport.from_json(json.loads(json.dumps(report.to_json()))) == report


def test_a_long_list_of_names_is_cut_in_the_sentence():
    report = ImportReport("s", 90, 20, 1.0, 9, tuple(f"{i}.jpg" for i in range(70)), (), ())
    assert "19.jpg and 50 more." in report.lines()[1]


def test_too_few_is_less_than_three_or_a_tenth():
    assert [too_few(n, 29) for n in (0, 2, 3, 29)] == [True, True, False, False]
    assert too_few(9, 100) and not too_few(10, 100)


def test_the_reason_is_texture_where_features_lack():
    text = why_too_few(2, 29, dict.fromkeys(NAMES, 37), {})
    assert text.startswith("Only 2 of 29 photos could be placed: they show little") and "37 features" in text


def test_the_reason_is_overlap_where_pairs_do_not_match():
    matched = {pair: 0 for pair in PAIRS} | {("0.jpg", "1.jpg"): 200}
    text = why_too_few(2, 29, dict.fromkeys(NAMES, 2000), matched)
    assert "only 2 of them share enough with another photo (1 of 406 pairs match)" in text


def test_the_reason_is_parallax_where_everything_matches():
    text = why_too_few(0, 29, dict.fromkeys(NAMES, 2000), PAIRS)
    assert text.startswith("None of 29 photos could be placed: they match") and "Step sideways" in text
