# SPDX-License-Identifier: MIT
"""Make the window's fonts from Inter: static TrueType, the characters the window shows, tabular figures as default.

Dear PyGui draws glyphs as they come and knows no OpenType features, so the equally wide figures that Inter keeps behind
its feature `tnum` become the ordinary ones here. Run once when Inter or the list of characters changes; it needs
`pip install fonttools` and Inter's static OTF files (Debian: package fonts-inter):

    python tools/make_font.py /usr/share/fonts/opentype/inter
"""

from __future__ import annotations

import sys
from pathlib import Path

from fontTools.fontBuilder import FontBuilder
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.recordingPen import DecomposingRecordingPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont

TARGET = Path(__file__).resolve().parent.parent / "assets" / "fonts"
WEIGHTS = ("Regular", "SemiBold")
PUNCTUATION = "\u2013\u2014\u2018\u2019\u201c\u201d\u2022\u2026\u2032\u2033"
SYMBOLS = "\u2190\u2191\u2192\u2193\u2212\u221e\u2248\u2260\u2264\u2265\u25b2\u25b6\u25bc\u25c0\u25cf\u2713"
CHARACTERS = [
    *range(0x20, 0x7F),
    *range(0xA0, 0x180),
    *map(ord, "\u0394\u03b1\u03bb\u03bc\u03c3"),
    *map(ord, PUNCTUATION + SYMBOLS),
]
MAX_ERROR_UNITS = 0.5  # of 2048 or more an em: far below a pixel at any size a window uses


def tabular_figures(font: TTFont) -> dict[str, str]:
    """Return {glyph: its tabular alternate} from the font's `tnum` feature."""
    table = font["GSUB"].table
    lookups = {
        index
        for record in table.FeatureList.FeatureRecord
        if record.FeatureTag == "tnum"
        for index in record.Feature.LookupListIndex
    }
    swaps: dict[str, str] = {}
    for index in sorted(lookups):
        for subtable in table.LookupList.Lookup[index].SubTable:
            swaps |= getattr(getattr(subtable, "ExtSubTable", subtable), "mapping", {})
    return swaps


def convert(source: Path, target: Path, weight: str) -> None:
    """Write one weight as a small TrueType font."""
    font = TTFont(source)
    swaps = {old: new for old, new in tabular_figures(font).items() if not old.endswith(".case")}
    figures = {ord(c) for c in "0123456789"}
    cmap = font.getBestCmap()
    chosen = {c: swaps.get(cmap[c], cmap[c]) if c in figures else cmap[c] for c in CHARACTERS if c in cmap}
    order = [".notdef", *sorted(set(chosen.values()))]
    glyph_set, advances = font.getGlyphSet(), font["hmtx"]
    glyphs, metrics = {}, {}
    for name in order:
        outline = DecomposingRecordingPen(glyph_set)
        glyph_set[name].draw(outline)
        pen = TTGlyphPen(None)
        outline.replay(Cu2QuPen(pen, MAX_ERROR_UNITS, reverse_direction=True))
        glyphs[name] = pen.glyph()
        metrics[name] = advances[name]
    widest = max(advances[chosen[c]][0] for c in figures)  # SemiBold's differ by 3 units of 2816
    for name in (chosen[c] for c in figures):
        metrics[name] = (widest, advances[name][1])
    builder = FontBuilder(font["head"].unitsPerEm, isTTF=True)
    builder.setupGlyphOrder(order)
    builder.setupCharacterMap(chosen)
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(metrics)
    builder.setupHorizontalHeader(ascent=font["hhea"].ascent, descent=font["hhea"].descent)
    names = font["name"]
    builder.setupNameTable(
        {
            "copyright": names.getDebugName(0),
            "familyName": "Inter Tabular",
            "styleName": weight,
            "fullName": f"Inter Tabular {weight}",
            "psName": f"InterTabular-{weight}",
            "version": f"{names.getDebugName(5)}; TrueType subset with tabular figures",
            "licenseDescription": "SIL Open Font License, Version 1.1",
            "licenseInfoURL": "https://openfontlicense.org",
        }
    )
    builder.setupOS2(sTypoAscender=font["OS/2"].sTypoAscender, sTypoDescender=font["OS/2"].sTypoDescender)
    builder.setupPost()
    builder.save(target)


def main() -> None:
    """Convert every weight from the folder that is given."""
    if len(sys.argv) != 2:
        sys.exit("make_font.py needs one argument, the folder with Inter-Regular.otf; see its first lines.")
    TARGET.mkdir(parents=True, exist_ok=True)
    for weight in WEIGHTS:
        target = TARGET / f"InterTabular-{weight}.ttf"
        convert(Path(sys.argv[1]) / f"Inter-{weight}.otf", target, weight)
        print(f"{target.name}: {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
