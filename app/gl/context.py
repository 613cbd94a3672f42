# SPDX-License-Identifier: MIT
"""An OpenGL context to draw with: the one that the window has made current, or a hidden one of our own.

Also finds out what a texture is called that somebody else made in the same context.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import glcontext
import moderngl

GL_TEXTURE_2D = 0x0DE1
GL_TEXTURE_BINDING_2D = 0x8069
GL_TEXTURE_WIDTH, GL_TEXTURE_HEIGHT = 0x1000, 0x1001
MAX_TEXTURE_NAME = 4096  # names are handed out from 1 upwards; a window has a few dozen
MIN_VERSION = 330


class GLError(Exception):
    """No usable OpenGL; the message is the reason, as the status bar shows it."""


def adopt_current() -> moderngl.Context:
    """Return a context that draws in the OpenGL context current on this thread, which somebody else owns."""
    try:
        ctx = moderngl.create_context(require=MIN_VERSION)
    except Exception as error:
        raise GLError(f"the window does not draw with OpenGL 3.3 ({error})") from error
    return ctx


class HiddenContext:
    """A context of our own with no visible window; `close` when done. Becomes current when made."""

    def __init__(self) -> None:
        self._window: Any = None
        reasons: list[str] = []
        for make in (self._with_egl, self._with_window) if sys.platform == "linux" else (self._with_window,):
            try:
                self.ctx: moderngl.Context = make()
                return
            except Exception as error:
                reasons.append(str(error))
        raise GLError("no OpenGL 3.3 (" + "; ".join(reasons) + ")")

    @staticmethod
    def _with_egl() -> moderngl.Context:
        return moderngl.create_context(standalone=True, backend="egl", require=MIN_VERSION)

    def _with_window(self) -> moderngl.Context:
        import glfw

        if not glfw.init():
            raise GLError("GLFW does not start")
        glfw.window_hint(glfw.VISIBLE, glfw.FALSE)
        glfw.window_hint(glfw.CONTEXT_VERSION_MAJOR, 3)
        glfw.window_hint(glfw.CONTEXT_VERSION_MINOR, 3)
        glfw.window_hint(glfw.OPENGL_PROFILE, glfw.OPENGL_CORE_PROFILE)
        glfw.window_hint(glfw.OPENGL_FORWARD_COMPAT, glfw.TRUE)
        self._window = glfw.create_window(64, 64, "nerfviewer", None, None)
        if not self._window:
            raise GLError("GLFW cannot make a hidden window")
        glfw.make_context_current(self._window)
        return moderngl.create_context(require=MIN_VERSION)

    def close(self) -> None:
        """Give the context back."""
        if self._window is not None:
            import glfw

            glfw.destroy_window(self._window)
            self._window = None
        else:
            self.ctx.release()


def is_software(ctx: moderngl.Context) -> bool:
    """Whether OpenGL is drawn by the CPU, where every pixel competes with training."""
    renderer = ctx.info["GL_RENDERER"].lower()
    return any(name in renderer for name in ("llvmpipe", "softpipe", "swrast", "software", "basic render"))


class TextureNames:
    """Looks at the texture names of the current context through OpenGL's own functions."""

    def __init__(self) -> None:
        try:
            library = glcontext.default_backend()(mode="detect", glversion=MIN_VERSION)
            self._functions = [
                self._function(library, "glIsTexture", ctypes.c_ubyte, ctypes.c_uint),
                self._function(library, "glBindTexture", None, ctypes.c_uint, ctypes.c_uint),
                self._function(library, "glGetIntegerv", None, ctypes.c_uint, ctypes.c_void_p),
                self._function(
                    library,
                    "glGetTexLevelParameteriv",
                    None,
                    ctypes.c_uint,
                    ctypes.c_int,
                    ctypes.c_uint,
                    ctypes.c_void_p,
                ),
            ]
        except Exception as error:
            raise GLError(f"OpenGL's functions cannot be found ({error})") from error

    @staticmethod
    def _function(library: Any, name: str, result: Any, *arguments: Any) -> Any:
        convention = ctypes.WINFUNCTYPE if sys.platform == "win32" else ctypes.CFUNCTYPE
        address = library.load(name)
        if not address:
            raise GLError(f"{name} is missing")
        return convention(result, *arguments)(address)

    def of_size(self, width: int, height: int) -> list[int]:
        """Return the names of all live 2D textures of a size; leaves the binding as it was."""
        is_texture, bind, get_integer, get_level = self._functions
        bound, value = ctypes.c_int(), ctypes.c_int()
        get_integer(GL_TEXTURE_BINDING_2D, ctypes.byref(bound))
        found = []
        for name in range(1, MAX_TEXTURE_NAME):
            if not is_texture(name):
                continue
            bind(GL_TEXTURE_2D, name)
            size = []
            for parameter in (GL_TEXTURE_WIDTH, GL_TEXTURE_HEIGHT):
                value.value = -1  # a texture that is not two-dimensional leaves it so
                get_level(GL_TEXTURE_2D, 0, parameter, ctypes.byref(value))
                size.append(value.value)
            if size == [width, height]:
                found.append(name)
        bind(GL_TEXTURE_2D, bound.value)
        return found
