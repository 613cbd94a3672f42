# SPDX-License-Identifier: MIT
"""Which files go where in the wheel; everything else about the package is in pyproject.toml.

`shaders/` and `assets/` lie beside `app/` in the checkout and inside it in the wheel, where they belong to the app alone.
A mapping on top of found packages cannot be written in pyproject.toml, so it is written here.
"""

from setuptools import find_namespace_packages, find_packages, setup

shipped = [
    f"app.{name}" for name in find_namespace_packages(include=["shaders", "shaders.*", "assets", "assets.*"])
]

setup(
    packages=[*find_packages(include=["app", "app.*", "engine", "engine.*"]), *shipped],
    package_dir={"app.shaders": "shaders", "app.assets": "assets"},
    package_data={**{name: ["*"] for name in shipped}, "engine.cuda": ["**/*.cu", "**/*.cuh"]},
    py_modules=["nerfviewer"],
)
