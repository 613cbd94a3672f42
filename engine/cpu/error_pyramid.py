# SPDX-License-Identifier: MIT
"""Pyramids of the errors of photos, one a photo, in flat arrays: kept up to date block by block, and drawn from.

Level 0 of a photo are blocks of BLOCK x BLOCK pixels, a node of level l + 1 stands for up to 2 x 2 of level l, the last level
is one node. A node holds three numbers, float32 `nodes [n, NODE]`: how many of its pixels count, how many of those lie in
blocks that were ever seen, and the sum over these pixels of the weight they are drawn by. Blocks that were never seen get the
mean weight of the photo's seen ones, whenever it is asked for. `layout` int64 [photos, 3 + 3 * MOST_LEVELS]: width, height,
levels; then for each level its first node, rows and columns.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.cpu.octree_rays import uniform

BLOCK = 8  # pixels a side
MOST_LEVELS = 16
COUNT, SEEN, MASS, NODE = 0, 1, 2, 3
WIDTH, HEIGHT, LEVELS, FIRST = (
    0,
    1,
    2,
    3,
)  # columns of the layout; FIRST + 3 l: first node, rows, columns of level l


@njit(cache=True, nogil=True)
def set_node(layout, photo, level, row, column, nodes):
    """Make a node of level 1 or above the sum of the nodes that it stands for."""
    at = FIRST + 3 * level
    below, rows, columns = layout[photo, at - 3], layout[photo, at - 2], layout[photo, at - 1]
    node = layout[photo, at] + row * layout[photo, at + 2] + column
    for k in range(NODE):
        total = 0.0
        for y in range(2 * row, min(2 * row + 2, rows)):
            for x in range(2 * column, min(2 * column + 2, columns)):
                total += nodes[below + y * columns + x, k]
        nodes[node, k] = total


@njit(cache=True, nogil=True)
def set_blocks(layout, photo, errors, nodes):
    """Set a photo's nodes, all levels, from its blocks' errors [rows, columns] (negative: never seen) and COUNT."""
    first, rows, columns = layout[photo, FIRST], layout[photo, FIRST + 1], layout[photo, FIRST + 2]
    for block in range(rows * columns):
        _set_block(first + block, errors[first + block], nodes)
    for level in range(1, layout[photo, LEVELS]):
        for row in range(layout[photo, FIRST + 3 * level + 1]):
            for column in range(layout[photo, FIRST + 3 * level + 2]):
                set_node(layout, photo, level, row, column, nodes)


@njit(cache=True, nogil=True)
def _set_block(node, error, nodes):
    counted = nodes[node, COUNT] if error >= 0.0 else 0.0
    nodes[node, SEEN] = counted
    nodes[node, MASS] = counted * np.sqrt(max(error, 0.0))


@njit(cache=True, nogil=True)
def learn_pixels(layout, photo_of, x, y, counts, squared, rate, errors, nodes):
    """Move the blocks of pixels towards their squared errors, in the order given; pixels with counts 0 are passed over."""
    for i in range(photo_of.shape[0]):
        if counts[i] == 0.0:
            continue
        photo = photo_of[i]
        row, column = y[i] // BLOCK, x[i] // BLOCK
        node = layout[photo, FIRST] + row * layout[photo, FIRST + 2] + column
        old = errors[node]
        errors[node] = squared[i] if old < 0.0 else old + rate * (squared[i] - old)
        _set_block(node, errors[node], nodes)
        for level in range(1, layout[photo, LEVELS]):
            row, column = row // 2, column // 2
            set_node(layout, photo, level, row, column, nodes)


@njit(cache=True, nogil=True)
def _weight(nodes, node, unseen):
    """Return what a node is drawn by; `unseen`: the weight of a pixel in a block that was never seen."""
    return nodes[node, MASS] + (nodes[node, COUNT] - nodes[node, SEEN]) * unseen


@njit(cache=True, nogil=True)
def _of_photos(layout, photos, nodes, weight, unseen):
    """Write each photo's weight [n] and the weight [n] of its unseen pixels; return (all weight, pixels, pixels that count)."""
    mass, seen = 0.0, 0.0
    for i in range(photos.shape[0]):
        top = layout[photos[i], FIRST + 3 * (layout[photos[i], LEVELS] - 1)]
        mass += nodes[top, MASS]
        seen += nodes[top, SEEN]
    mean = mass / seen if seen > 0.0 and mass > 0.0 else 1.0
    total, area, count = 0.0, 0, 0.0
    for i in range(photos.shape[0]):
        photo = photos[i]
        top = layout[photo, FIRST + 3 * (layout[photo, LEVELS] - 1)]
        known = nodes[top, SEEN] > 0.0
        unseen[i] = nodes[top, MASS] / nodes[top, SEEN] if known else mean
        weight[i] = _weight(nodes, top, unseen[i])
        total += weight[i]
        area += layout[photo, WIDTH] * layout[photo, HEIGHT]
        count += nodes[top, COUNT]
    return total, area, count


@njit(cache=True, nogil=True)
def draw_pixels(layout, photos, nodes, share, seed, slot, x, y, factor):
    """Draw pixels of some photos: of n, the first round(share n) by weight, the rest evenly; both stratified.

    Outputs [n]: slot (which of `photos`), x, y, and factor, one over how much likelier than in an even draw over the pixels that
    count this one was: the mean of factor * loss over the draws is then the mean loss, whatever the weights.
    """
    n, n_photos = slot.shape[0], photos.shape[0]
    weight, unseen = np.zeros(n_photos), np.zeros(n_photos)
    total, area, count = _of_photos(layout, photos, nodes, weight, unseen)
    by_weight = round(share * n) if total > 0.0 else 0
    part = by_weight / n
    at, before = 0, 0.0
    for i in range(by_weight):
        goal = (i + uniform(seed, i, 0)) / by_weight * total
        while at < n_photos - 1 and before + weight[at] <= goal:
            before += weight[at]
            at += 1
        slot[i] = at
        x[i], y[i] = _descend(layout, photos[at], nodes, unseen[at], goal - before, uniform(seed, i, 1))
    at, passed = 0, 0
    for i in range(by_weight, n):
        goal = min(np.int64((i - by_weight + uniform(seed, i, 0)) / (n - by_weight) * area), area - 1)
        while goal >= passed + layout[photos[at], WIDTH] * layout[photos[at], HEIGHT]:
            passed += layout[photos[at], WIDTH] * layout[photos[at], HEIGHT]
            at += 1
        slot[i] = at
        x[i], y[i] = (goal - passed) % layout[photos[at], WIDTH], (goal - passed) // layout[photos[at], WIDTH]
    for i in range(n):
        photo = photos[slot[i]]
        node, pixels = _block_of(layout, photo, x[i], y[i])
        likely = (1.0 - part) / area
        if by_weight > 0:
            likely += part * _weight(nodes, node, unseen[slot[i]]) / total / pixels
        factor[i] = 1.0 / (max(count, 1.0) * likely)


@njit(cache=True, nogil=True)
def _block_of(layout, photo, x, y):
    """Return a pixel's node of level 0 and how many pixels the block has, counted or not."""
    row, column = y // BLOCK, x // BLOCK
    wide = min(BLOCK, layout[photo, WIDTH] - column * BLOCK)
    high = min(BLOCK, layout[photo, HEIGHT] - row * BLOCK)
    return layout[photo, FIRST] + row * layout[photo, FIRST + 2] + column, wide * high


@njit(cache=True, nogil=True)
def _descend(layout, photo, nodes, unseen, goal, chance):
    """Return the pixel x, y at `goal` of a photo's weight; `chance` in [0,1) picks it within its block."""
    row, column = 0, 0
    for level in range(layout[photo, LEVELS] - 2, -1, -1):
        at = FIRST + 3 * level
        first, rows, columns = layout[photo, at], layout[photo, at + 1], layout[photo, at + 2]
        found = False
        last_row, last_column = 2 * row, 2 * column
        for k in range(4):
            y, x = 2 * row + (k >> 1), 2 * column + (k & 1)
            if found or y >= rows or x >= columns:
                continue
            weight = _weight(nodes, first + y * columns + x, unseen)
            if weight > 0.0:
                last_row, last_column = (
                    y,
                    x,
                )  # rounding may leave a trifle of the goal: then the last one it is
                if goal < weight:
                    found = True
                else:
                    goal -= weight
        row, column = last_row, last_column
    wide = min(BLOCK, layout[photo, WIDTH] - column * BLOCK)
    high = min(BLOCK, layout[photo, HEIGHT] - row * BLOCK)
    pixel = min(np.int64(chance * (wide * high)), wide * high - 1)
    return column * BLOCK + pixel % wide, row * BLOCK + pixel // wide


@njit(cache=True, nogil=True)
def learn_tiles(layout, photo, tile_squared, tiles_x, side, rate, errors, nodes):
    """Move all blocks of a photo towards the mean squared errors [tiles] of square tiles `side` pixels wide, row by row.

    A block hears the tile that its first pixel lies in.
    """
    first, rows, columns = layout[photo, FIRST], layout[photo, FIRST + 1], layout[photo, FIRST + 2]
    for row in range(rows):
        for column in range(columns):
            node = first + row * columns + column
            if nodes[node, COUNT] == 0.0:
                continue
            new = tile_squared[row * BLOCK // side * tiles_x + column * BLOCK // side]
            old = errors[node]
            errors[node] = new if old < 0.0 else old + rate * (new - old)
    set_blocks(layout, photo, errors, nodes)
