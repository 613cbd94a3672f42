# SPDX-License-Identifier: MIT
"""Which files go where in the wheel; everything else about the package is in pyproject.toml.

`shaders/` and `assets/` lie beside `app/` in the checkout and inside it in the wheel, where they belong to the app alone.
A mapping on top of found packages cannot be written in pyproject.toml, so it is written here.
"""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["app", "app.*", "engine", "engine.*"]), "app.shaders", "app.assets"],
    package_dir={"app.shaders": "shaders", "app.assets": "assets"},
    package_data={"app.shaders": ["**/*"], "app.assets": ["**/*"], "engine.cuda": ["**/*.cu", "**/*.cuh"]},
    py_modules=["nerfviewer"],
)
