# SPDX-License-Identifier: MIT
"""Every number that the reference, the Numba kernels and the CUDA kernels must agree on.

Lengths are in engine units: the scene's foreground cube has edge 1 (`conventions.py`).
"""

MAX_LEVEL = 16  # finest octree level; a path has 3 bits a level, 48 bits in all
LATTICE = 1 << MAX_LEVEL  # grid points per axis on the finest lattice, less one

TILE_PX = 16  # a screen tile is 16 x 16 pixels
BLOCK_PX = 4  # a SIMD block is 4 x 4 pixels: 16 lanes
LANES = BLOCK_PX * BLOCK_PX

DENSITY_SCALE = (
    300.0  # optical depth is this * exp_linear(raw) * length: the published 100 per unit of a cube 3 wide
)
EXP_LINEAR_KNEE = 1.1  # exp_linear(x) is x above the knee, an exponential with the same value and slope below
MAX_ALPHA = 0.99999  # keeps 1 - alpha invertible in float32
MIN_ALPHA = 1e-5  # a contribution below this is skipped: invisible in 8 bits even 100 times over
STOP_TRANS = (
    1e-4  # a pixel is done below this transmittance: the rest can change it by less than 1/40 of a grey level
)
NEAR = 0.005  # segments start at least this far along the camera's z axis
NORMAL_EPS = 1e-15  # protects the normalisation of a zero gradient

# The soft rasteriser: how far a voxel reaches in units of sigma, and where the logistic function counts as 0 or 1.
KAPPA = 2.0
LOGISTIC_CUT = 12.0  # 1 - s(12) = 6e-6: below MIN_ALPHA

SH_C0 = 0.28209479177387814
SH_C1 = 0.4886025119029199
SH_C2 = (
    1.0925484305920792,
    -1.0925484305920792,
    0.31539156525252005,
    -1.0925484305920792,
    0.5462742152960396,
)
SH_C3 = (
    -0.5900435899266435,
    2.890611442640554,
    -0.4570457994644658,
    0.3731763325901154,
    -0.4570457994644658,
    1.445305721320277,
    -0.5900435899266435,
)

INITIAL_RAW_DENSITY = -10.0

# The training pass: how picture and photo are compared, and the columns of what the kernels take and give.
GIVEN, MSE, L1, HUBER = 0, 1, 2, 3
HUBER_KNEE = 0.03  # errors above this count linearly
W_PHOTO, W_T_CONCENTRATION, W_R_CONCENTRATION, W_DISTORTION, DISTORTION_KNEE = range(
    5
)  # loss weights, per pixel
N_WEIGHTS = 5
SUM_PHOTO, SUM_SQUARED, SUM_T_CONCENTRATION, SUM_R_CONCENTRATION, SUM_DISTORTION, SUM_BACKGROUND = range(6)
N_SUMS = 8  # loss sums of a tile; the background's gradient takes three
BETA1, BETA2, EPS, RATE_DENSITY, RATE_SH0, RATE_SHS, TV = range(7)  # what Adam is told
N_ADAM = 7
WANT_DEPTH, WANT_MEDIAN, WANT_NORMAL, WANT_COUNT, WANT_WEIGHT = (
    1,
    2,
    4,
    8,
    16,
)  # what a view holds besides colour

# A hashed level of a node's grid: entry (x XOR y HASH_Y XOR z HASH_Z) mod the table's size, in 32 bits without a sign.
HASH_Y, HASH_Z = 2654435761, 805459861
