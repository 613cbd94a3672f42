# SPDX-License-Identifier: MIT
"""Shader programs from `shaders/`: `NAME.vert` and `NAME.frag` make the program NAME.

A line `#include "file.glsl"` is replaced by that file; `#line` directives keep the compiler's line numbers right.
"""

from __future__ import annotations

import re

import moderngl

from app.resources import resource_path, shader_source

_INCLUDE = re.compile(r'^#include "([^"]+)"$')


class ShaderError(Exception):
    """A shader of ours does not compile here; the message holds the compiler's."""


def program_names() -> list[str]:
    """Return the names of all programs, sorted."""
    return sorted(path.stem for path in resource_path("shaders").glob("*.vert"))


def expanded(name: str) -> str:
    """Return the text of a shader file with its includes in place."""
    lines: list[str] = []
    for number, line in enumerate(shader_source(name).splitlines(), start=1):
        match = _INCLUDE.match(line.strip())
        if match:
            lines += ["#line 1 1", *shader_source(match[1]).splitlines(), f"#line {number + 1} 0"]
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def load_program(ctx: moderngl.Context, name: str) -> moderngl.Program:
    """Compile and link the program NAME."""
    try:
        return ctx.program(vertex_shader=expanded(f"{name}.vert"), fragment_shader=expanded(f"{name}.frag"))
    except moderngl.Error as error:
        raise ShaderError(f"Cannot compile the shader {name}: {error}") from error
