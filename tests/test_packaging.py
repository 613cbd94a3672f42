# SPDX-License-Identifier: MIT
"""The wheel holds everything, and what it installs starts outside the checkout.

The fresh environment sees the packages of the present one through a .pth file, so nothing is downloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHIPPED = ("app", "engine", "shaders", "assets", "tools")
TOP_FILES = (
    "pyproject.toml",
    "setup.py",
    "MANIFEST.in",
    "LICENSE",
    "README.md",
    "CHANGELOG.md",
    "nerfviewer.py",
)

pytestmark = pytest.mark.slow


def _run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "DISPLAY")}
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=clean,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of the sources, so that no build folder appears in the checkout."""
    pytest.importorskip(
        "setuptools", minversion="77", reason="building a wheel needs setuptools 77; install .[dev]"
    )
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in TOP_FILES:
        shutil.copy(ROOT / name, source)
    for name in SHIPPED:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index", "--no-build-isolation")
    built = _run(*pip, "--wheel-dir", target, source, cwd=target)
    assert built.returncode == 0, built.stderr
    (path,) = target.glob("nerfviewer-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` folder of an environment in which only the wheel was installed."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=os.name != "nt")
    places = sysconfig.get_paths(vars={"base": str(folder), "platbase": str(folder)})
    scripts, python = Path(places["scripts"]), Path(places["scripts"]) / "python"
    outer = sysconfig.get_paths()["purelib"]
    (Path(places["purelib"]) / "borrowed.pth").write_text(f"{outer}\n")
    pip = (python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed")
    done = _run(*pip, wheel, cwd=folder)
    assert done.returncode == 0, done.stderr
    return scripts


def _names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_the_wheel_holds_every_module_of_the_checkout(wheel):
    modules = {str(p.relative_to(ROOT)) for name in ("app", "engine") for p in (ROOT / name).rglob("*.py")}
    assert modules | {"nerfviewer.py"} <= _names(wheel)


def test_the_wheel_holds_shaders_assets_and_kernels(wheel):
    files = [p for name in ("shaders", "assets") for p in (ROOT / name).rglob("*") if p.is_file()]
    wanted = {f"app/{p.relative_to(ROOT)}" for p in files}
    wanted |= {str(p.relative_to(ROOT)) for p in (ROOT / "engine" / "cuda").rglob("*.cu*")}
    assert "app/assets/icon.png" in wanted
    assert wanted <= _names(wheel)


def test_the_wheel_puts_nothing_else_at_the_top(wheel):
    tops = {name.split("/")[0] for name in _names(wheel)}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"app", "engine", "nerfviewer.py"}


def test_every_dependency_says_why():
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    inside = [line for line in lines if line.startswith('    "') and any(sign in line for sign in ("<", ">"))]
    assert len(inside) > 10
    assert [line for line in inside if "  # " not in line] == []


def test_the_installed_command_explains_itself(installed, tmp_path):
    done = _run(installed / "nerfviewer", "--help", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for command in ("train", "eval", "render", "bench", "doctor"):
        assert command in done.stdout


def test_the_installed_doctor_finds_the_machine_fit(installed, tmp_path):
    done = _run(installed / "nerfviewer", "doctor", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nerfviewer can run here" in done.stdout


def test_the_installed_app_finds_its_files_and_not_the_checkout(installed, tmp_path):
    program = (
        "import app, nerfviewer\n"
        "from app.resources import font_path, icon_path, resource_path\n"
        "for path in (app.__file__, nerfviewer.__file__, icon_path(), font_path(), *resource_path('shaders').rglob('*')):\n"
        "    print(path)"
    )
    done = _run(installed / "python", "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    paths = done.stdout.splitlines()
    assert len(paths) >= 4 + sum(1 for p in (ROOT / "shaders").rglob("*") if p.is_file())
    assert [path for path in paths if not Path(path).is_relative_to(installed.parent)] == []
