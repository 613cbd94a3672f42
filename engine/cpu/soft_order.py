# SPDX-License-Identifier: MIT
"""What the voxels over one pixel receive and block when none is sharply in front of another, and the way back.

A pixel's entries stand nearest first in `entries`, field f of entry k at f * pitch + k, from a multiple of 16 on; behind the last
one, up to the next multiple, are entries of alpha 0. Computes, with s the logistic function and x = (z - z of the first) / tau,
    logistic  T_i = product over j != i of (1 - alpha_j s(x_i - x_j)),
    softmax   T_i = (1 - T_end) exp(-x_i) / sum_j alpha_j exp(-x_j),
    hard      T_i = product over j before i of (1 - alpha_j);
w_i = alpha_i T_i; and the gradients of alphas and depths. Sixteen i at a time. Beyond LOGISTIC_CUT the logistic function counts
as 0 or 1, so that entries far in front of all sixteen are a running product and only those near by are taken one by one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from engine.constants import LOGISTIC_CUT
from engine.cpu.simd import fma, lane_sum, load, select, splat, store, vexp, vmax, vmin

X, ALPHA, TRANS, RED, GREEN, BLUE, DEPTH, GAIN, V_ALPHA, V_DEPTH, STEEP = range(11)
N_ENTRY_FIELDS = 11
HARD, LOGISTIC, SOFTMAX = 0, 1, 2

_STEEPEST = 30.0  # exp(x) of twice this is finite in float32; s(30) is 1
_WIDE = np.float32(
    36.0
)  # a block of sixteen entries wider than this takes an exponential a pair: half of it + LOGISTIC_CUT = _STEEPEST
_ONE = np.float32(1.0)
_CUT = np.float32(LOGISTIC_CUT)


@njit(cache=True, nogil=True)
def receive(entries, pitch, start, n, order):
    """Fill TRANS of a pixel's n entries from `start` on; return T_end."""
    if order == LOGISTIC:
        return _receive_logistic(entries, pitch, start, n)
    end = _receive_in_order(entries, pitch, start, n)
    if order == SOFTMAX:
        _receive_softmax(entries, pitch, start, n, _ONE - end)
    return end


@njit(cache=True, nogil=True)
def _receive_in_order(entries, pitch, start, n):
    a, t = ALPHA * pitch + start, TRANS * pitch + start
    trans = _ONE
    for k in range(n):
        entries[t + k] = trans
        trans *= _ONE - entries[a + k]
    for k in range(n, (n + 15) & ~15):
        entries[t + k] = trans
    return trans


@njit(cache=True, nogil=True)
def _receive_softmax(entries, pitch, start, n, light):
    total = splat(0.0)
    for k in range(start, start + n, 16):
        near = vexp(-load(entries, X * pitch + k))
        store(entries, TRANS * pitch + k, near)
        total = fma(load(entries, ALPHA * pitch + k), near, total)
    scale = light / max(lane_sum(total), np.float32(1e-30))
    for k in range(start, start + n, 16):
        store(entries, TRANS * pitch + k, load(entries, TRANS * pitch + k) * scale)


@njit(cache=True, nogil=True)
def _within(x):
    return vmin(vmax(x, -_STEEPEST), _STEEPEST)


@njit(cache=True, nogil=True)
def _exponentials(entries, pitch, start, block, n, low, high, sign):
    """Write STEEP = exp(sign (x_m - b)) of entries m in [low, high) and return exp(sign (b - x)) of a block with middle b.

    Their product is exp(sign (x_m - x)): an exponential an entry instead of one a pair.
    """
    xs = X * pitch + start
    middle = (entries[xs + block] + entries[xs + min(block + 15, n - 1)]) * np.float32(0.5)
    for m in range(low & ~15, high, 16):
        x = _within(load(entries, xs + m) - middle)
        store(entries, STEEP * pitch + start + m, vexp(x * sign))
    return vexp(_within(load(entries, xs + block) - middle) * -sign)


@njit(cache=True, nogil=True)
def _receive_logistic(entries, pitch, start, n):
    xs, alphas = X * pitch + start, ALPHA * pitch + start
    low, high, before = 0, 0, _ONE
    for block in range(0, n, 16):
        first, last = entries[xs + block] - _CUT, entries[xs + min(block + 15, n - 1)] + _CUT
        while entries[xs + low] < first:
            before *= _ONE - entries[alphas + low]
            low += 1
        while high < n and entries[xs + high] <= last:
            high += 1
        x, alpha = load(entries, xs + block), load(entries, alphas + block)
        trans, wide = splat(before), last - first > 2.0 * _CUT + _WIDE
        scale = _exponentials(entries, pitch, start, block, n, low, high, 1.0)
        for other in range(low, high):
            steep = scale * entries[STEEP * pitch + start + other]
            if wide:
                steep = vexp(_within(entries[xs + other] - x))
            trans = trans * (1.0 - entries[alphas + other] / (1.0 + steep))
        store(entries, TRANS * pitch + start + block, trans / (1.0 - alpha * 0.5))  # itself does not count
    end = before
    for k in range(low, n):
        end *= _ONE - entries[alphas + k]
    return end


@njit(cache=True, nogil=True)
def give_back(entries, pitch, start, n, order, v_end, inv_tau, deep):
    """Fill V_ALPHA, and with `deep` add to V_DEPTH, from GAIN = dL/dw of each entry; v_end is T_end dL/dT_end.

    V_DEPTH is what comes through the order alone.
    """
    if order == LOGISTIC:
        _back_logistic(entries, pitch, start, n, v_end, inv_tau, deep)
    elif order == SOFTMAX:
        _back_softmax(entries, pitch, start, n, v_end, inv_tau, deep)
    else:
        _back_in_order(entries, pitch, start, n, v_end)


@njit(cache=True, nogil=True)
def _back_in_order(entries, pitch, start, n, v_end):
    """dL/dalpha_j = T_j g_j - (what lies behind) / (1 - alpha_j)."""
    a, t, g, out = ALPHA * pitch + start, TRANS * pitch + start, GAIN * pitch + start, V_ALPHA * pitch + start
    behind = np.float32(v_end)
    for k in range(n - 1, -1, -1):
        gain = entries[t + k] * entries[g + k]
        entries[out + k] = gain - behind / (_ONE - entries[a + k])
        behind += gain * entries[a + k]


@njit(cache=True, nogil=True)
def _back_softmax(entries, pitch, start, n, v_end, inv_tau, deep):
    """dL/dalpha_j = T_j (g_j - m) + (T_end m - v_end) / (1 - alpha_j), m the mean of g by weight; dL/dx_j = -w_j (g_j - m)."""
    clear, light, mean = _ONE, splat(0.0), splat(0.0)
    for k in range(start, start + n, 16):
        weight = load(entries, ALPHA * pitch + k) * load(entries, TRANS * pitch + k)
        light, mean = light + weight, fma(weight, load(entries, GAIN * pitch + k), mean)
    for k in range(start, start + n):
        clear *= _ONE - entries[ALPHA * pitch + k]
    m = lane_sum(mean) / max(lane_sum(light), np.float32(1e-30))
    rest = clear * m - np.float32(v_end)
    for k in range(start, start + n, 16):
        alpha, trans = load(entries, ALPHA * pitch + k), load(entries, TRANS * pitch + k)
        more = load(entries, GAIN * pitch + k) - m
        store(entries, V_ALPHA * pitch + k, fma(trans, more, rest / (1.0 - alpha)))
        if deep is not None:
            at = V_DEPTH * pitch + k
            store(entries, at, load(entries, at) - alpha * trans * more * inv_tau)


@njit(cache=True, nogil=True)
def _back_logistic(entries, pitch, start, n, v_end, inv_tau, deep):
    """With W = w g and E = exp(x_k - x_m): s(x_m - x_k) / (1 - alpha_k s(x_m - x_k)) = 1 / (1 + E - alpha_k), so
    dL/dalpha_k = T_k g_k - sum_m W_m / (1 + E - alpha_k) - v_end / (1 - alpha_k), where E = 0 for m far behind.
    """
    xs, alphas, gains = X * pitch + start, ALPHA * pitch + start, GAIN * pitch + start
    for k in range(0, n, 16):
        weight = load(entries, alphas + k) * load(entries, TRANS * pitch + start + k)
        store(entries, gains + k, load(entries, gains + k) * weight)  # W from here on
    low, high, behind = n, n, np.float32(v_end)
    for block in range((n - 1) & ~15, -1, -16):
        first, last = entries[xs + block] - _CUT, entries[xs + min(block + 15, n - 1)] + _CUT
        while entries[xs + high - 1] > last:
            high -= 1
            behind += entries[gains + high]
        while low > 0 and entries[xs + low - 1] >= first:
            low -= 1
        x, alpha, own = load(entries, xs + block), load(entries, alphas + block), load(entries, gains + block)
        clear = 1.0 - alpha
        taken = splat(behind) / clear - own / (1.0 + clear)
        v_x, wide = splat(0.0), last - first > 2.0 * _CUT + _WIDE
        scale = _exponentials(entries, pitch, start, block, n, low, high, -1.0)
        for other in range(low, high):
            steep = scale * entries[STEEP * pitch + start + other]
            if wide:
                steep = vexp(_within(x - entries[xs + other]))
            blocks = 1.0 / (steep + clear)
            taken = fma(blocks, entries[gains + other], taken)
            if deep is not None:
                share = steep / (1.0 + steep)  # s(x_k - x_m)
                theirs = alpha * entries[gains + other] * blocks * share
                mine = (
                    own
                    * entries[alphas + other]
                    * share
                    / (fma(steep, 1.0 - entries[alphas + other], splat(1.0)))
                )
                v_x = v_x + (theirs - mine)
        live = alpha > 0.0
        own = select(live, own / select(live, alpha, 1.0), 0.0)
        store(entries, V_ALPHA * pitch + start + block, own - taken)
        if deep is not None:
            at = V_DEPTH * pitch + start + block
            store(entries, at, load(entries, at) + v_x * inv_tau)
