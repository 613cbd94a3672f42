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


def variants(name: str) -> list[tuple[str, ...]]:
    """Return every set of `defines` that the program NAME is compiled with."""
    return [(), ("SMOOTH",), ("PHOTO",), ("SMOOTH", "PHOTO")] if name == "present" else [()]


def expanded(name: str, defines: tuple[str, ...] = ()) -> str:
    """Return the text of a shader file with its includes in place and `defines` below its first line, the version."""
    lines: list[str] = []
    for number, line in enumerate(shader_source(name).splitlines(), start=1):
        match = _INCLUDE.match(line.strip())
        if match:
            lines += ["#line 1 1", *shader_source(match[1]).splitlines(), f"#line {number + 1} 0"]
        else:
            lines.append(line)
        if number == 1 and defines:
            lines += [*(f"#define {define}" for define in defines), "#line 2 0"]
    return "\n".join(lines) + "\n"


def load_program(ctx: moderngl.Context, name: str, defines: tuple[str, ...] = ()) -> moderngl.Program:
    """Compile and link the program NAME."""
    vertex, fragment = expanded(f"{name}.vert", defines), expanded(f"{name}.frag", defines)
    try:
        return ctx.program(vertex_shader=vertex, fragment_shader=fragment)
    except moderngl.Error as error:
        raise ShaderError(f"Cannot compile the shader {name} {' '.join(defines)}: {error}") from error
