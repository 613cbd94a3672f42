#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes everything that `make run` (argument: run) or `make test` (argument: dev) needs: system packages, the virtual
# environment .venv, and nerfviewer in it. Prints what it does, never asks anything, and can be run again at any time.
set -eu

what=${1:-run}
python=${PYTHON:-python3}
venv=.venv

fail() {
    echo "setup: $*" >&2
    exit 1
}

# --- Python -------------------------------------------------------------------------------------------------------

command -v "$python" >/dev/null 2>&1 ||
    fail "there is no command '$python'; install Python 3.10 or newer (Debian, Ubuntu: apt-get install python3) or name one with PYTHON=."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' ||
    fail "nerfviewer needs Python 3.10 or newer and '$python' is $("$python" -V 2>&1); name another one with PYTHON=python3.12."

# --- system packages ----------------------------------------------------------------------------------------------

# The window: OpenGL and the software driver behind it, X11.
packages="libgl1 libegl1 libgl1-mesa-dri libx11-6"
# Window tests: a virtual display, and something that moves its mouse. Tests of CUDA kernels run them on the CPU: a compiler.
[ "$what" = dev ] && packages="$packages xvfb xdotool g++"
"$python" -c 'import ensurepip, venv' 2>/dev/null || packages="$packages python3-venv"

install_packages() {
    missing=""
    for package in $packages; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" = 0 ]; then
        as_root=""
    elif command -v sudo >/dev/null 2>&1 && sudo -n true 2>/dev/null; then
        as_root="sudo -n"
    else
        echo "setup: these system packages are missing; install them with: sudo apt-get install$missing" >&2
        return 0
    fi
    echo "setup: installing the system packages$missing"
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get update -qq </dev/null &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing </dev/null >/dev/null ||
        echo "setup: apt-get could not install all of them; try: sudo apt-get install$missing" >&2
}

if command -v dpkg-query >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1; then
    install_packages
elif [ "$(uname)" = Linux ]; then
    echo "setup: no apt-get here; the window needs OpenGL (libGL, libEGL, a Mesa driver) and X11 from your distribution."
fi

# --- the virtual environment --------------------------------------------------------------------------------------

if ! "$venv/bin/python" -c 'import pip' 2>/dev/null; then
    echo "setup: making $venv with $("$python" -V)"
    rm -rf "$venv"
    "$python" -m venv "$venv" ||
        fail "'$python -m venv' failed; on Debian and Ubuntu: sudo apt-get install python3-venv"
fi
pip() {
    PYTHONWARNINGS=ignore "$venv/bin/python" -m pip --disable-pip-version-check "$@" </dev/null
}

# PyTorch as PyPI has it for Linux brings several gigabytes of CUDA libraries. Without an NVIDIA card they are of no use, so
# where pip would fetch them the same release is taken from PyTorch's own index of CPU builds.
torch=$("$venv/bin/python" -c '
import re
print(re.search(r"\"(torch[^\"]*)\"", open("pyproject.toml").read()).group(1))')
if ! "$venv/bin/python" -c 'import torch' 2>/dev/null && [ "$(uname)" = Linux ] && [ ! -e /proc/driver/nvidia ] && [ ! -e /dev/dxg ]; then
    pip install --quiet --upgrade 'pip>=23.3'  # older ones download everything to tell what they would install
    if pip install --dry-run "$torch" | grep -q 'Would install.* nvidia-'; then
        echo "setup: no NVIDIA card here, installing PyTorch's build for CPUs"
        pip install --quiet --index-url https://download.pytorch.org/whl/cpu "$torch" ||
            echo "setup: that index cannot be reached, installing PyTorch from PyPI instead" >&2
    fi
fi

echo "setup: installing nerfviewer and what it needs into $venv (some minutes the first time)"
if [ "$what" = dev ]; then
    pip install --quiet --editable '.[dev]'
else
    pip install --quiet --editable .
fi || fail "pip could not install nerfviewer; its message is above."

touch "$venv/.ready"
[ "$what" = dev ] && touch "$venv/.ready-dev"
echo "setup: ready"
