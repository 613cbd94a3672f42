# SPDX-License-Identifier: MIT
"""The map of the project, held by tests: who may import whom, that importing is free, and what every file declares.

The rules read the source with `ast`, so an import inside a function counts as much as one at the top.
"""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from engine.options import describe

ROOT = Path(__file__).resolve().parent.parent
WINDOW = ("dearpygui", "moderngl", "glfw")
CUDA = ("cuda.core", "cuda.bindings.nvrtc", "pycuda")  # torch itself imports some of cuda.bindings

# The floors of the engine, lowest first: a module may import from its own floor and from those below it.
FLOORS = (
    (
        "caches",
        "constants",
        "conventions",
        "errors",
        "ffmpeg",
        "files",
        "memory",
        "options",
        "parallel",
        "run_lock",
        "settings",
        "shapes",
    ),
    (
        "cameras",
        "matrices",
        "torch_files",
        "morton",
        "node_fields",
        "node_occupancy",
        "node_samples",
        "node_tree",
        "octree",
        "octree_adapt",
        "region",
        "sh",
        "shots",
        "softness",
        "voxel_grid",
    ),
    ("cpu", "cuda", "reference"),
    (
        "render",
        "datasets",
        "sfm",
        "losses",
        "metrics",
        "optim",
        "checkpoint",
        "devices",
        "node_cache",
        "node_store",
    ),
    (
        "methods",
        "messages",
        "runs",
        "export",
        "evaluation",
        "training",
        "parallel_training",
        "capture",
        "diagnosis",
        "diagnosis_signs",
        "findings",
        "monitor",
        "probe",
        "forecast",
        "tally",
        "snapshots",
        "board",
        "inf_nerf",
        "plenoxels",
        "svraster_one",
    ),
    ("slots", "worker"),
)
# Modules that stand on another floor than their folder.
PLACED = {
    "engine.cuda.ssim": 3,  # a loss, on a device
    "engine.render.output": 1,  # plain data that every implementation of the rasteriser returns
    "engine.render.error_overlay": 4,  # stands on it
    "engine.render.visualise": 4,  # turns the buffers of a method into pictures
}
SIBLINGS = ("cpu", "cuda", "reference")  # three implementations of one contract know nothing of one another


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def _sources(folder: str) -> dict[str, Path]:
    """Return {module name: file} of a folder of the checkout."""
    return {_module(path): path for path in sorted((ROOT / folder).rglob("*.py"))}


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _for_types_only(path: Path) -> set[ast.AST]:
    """Return the nodes below `if TYPE_CHECKING:`, which never run."""
    guards = (
        n for n in ast.walk(_tree(path)) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"
    )
    return {node for guard in guards for child in guard.body for node in ast.walk(child)}


def _imports(path: Path, types_too: bool = True) -> Iterator[str]:
    """Yield the modules a file imports; `from engine import octree` yields both engine and engine.octree."""
    left_out = set() if types_too else _for_types_only(path)
    for node in ast.walk(_tree(path)):
        if node in left_out:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively; name the whole module"
            yield node.module or ""
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            yield from (name for name in names if name in {**_sources("engine"), **_sources("app")})


def _violations(sources: dict[str, Path], forbidden: tuple[str, ...]) -> list[str]:
    return [
        f"{module} imports {wanted}"
        for module, path in sources.items()
        for wanted in _imports(path)
        if any(wanted == name or wanted.startswith(f"{name}.") for name in forbidden)
    ]


def _floor(module: str) -> int:
    """Return the floor of an engine module; `worker_jobs` belongs to `worker`."""
    if module in PLACED:
        return PLACED[module]
    noun = module.split(".")[1]
    for number, names in enumerate(FLOORS):
        if noun in names or (noun.split("_")[0] in names and noun.startswith("worker_")):
            return number
    raise AssertionError(f"{module} has no floor; give it one in FLOORS of {Path(__file__).name}")


def _engine_edges() -> Iterator[tuple[str, str]]:
    for module, path in _sources("engine").items():
        for wanted in _imports(path):
            if module != "engine" and wanted.startswith("engine."):
                yield module, wanted


def test_the_engine_knows_neither_the_app_nor_a_window():
    assert _violations(_sources("engine"), ("app", "nerfviewer", *WINDOW)) == []


def test_the_view_knows_neither_opengl_nor_widgets():
    sources = {name: path for name, path in _sources("app").items() if name.startswith("app.view")}
    assert sources
    assert _violations(sources, ("app.gl", "app.gui", *WINDOW)) == []


def test_opengl_code_and_jobs_know_no_widgets():
    sources = {
        name: path for name, path in _sources("app").items() if name.startswith(("app.gl", "app.jobs"))
    }
    assert _violations(sources, ("app.gui", "dearpygui")) == []


def test_widgets_compute_nothing_with_torch():
    sources = {name: path for name, path in _sources("app").items() if name.startswith("app.gui")}
    assert _violations(sources, ("torch", "numba", "engine.cpu", "engine.cuda", "engine.reference")) == []


def test_engine_modules_import_from_their_floor_or_below():
    upward = [
        f"{module} imports {wanted}" for module, wanted in _engine_edges() if _floor(wanted) > _floor(module)
    ]
    assert upward == []


def test_the_three_implementations_know_nothing_of_one_another():
    crossing = [
        f"{module} imports {wanted}"
        for module, wanted in _engine_edges()
        if module.split(".")[1] in SIBLINGS
        and wanted.split(".")[1] in SIBLINGS
        and module.split(".")[1] != wanted.split(".")[1]
    ]
    assert crossing == []


def test_no_module_imports_itself_through_others():
    edges: dict[str, set[str]] = {}
    known = {**_sources("engine"), **_sources("app")}
    for module, path in known.items():
        packages = {name for name in known if known[name].name == "__init__.py"}
        edges[module] = {
            wanted for wanted in _imports(path, types_too=False) if wanted in known and wanted not in packages
        }
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join((*above[above.index(module) :], module))
        if module not in done:
            for wanted in edges.get(module, ()):
                visit(wanted, (*above, module))
            done.add(module)

    for module in edges:
        visit(module, ())


# Runs in a fresh interpreter. The packages we build on are imported first; what they do at import is theirs. Numba probes
# whether it may write to its cache when a kernel is declared, and leaves nothing there: that is not counted.
_IMPORT_ALL = """
import importlib, json, os, sys, threading
import engine
import numba, numpy, torch
from numba.core import event
writes, cache = [], os.environ["NUMBA_CACHE_DIR"]
sys.dont_write_bytecode = True
def hook(name, args):
    if name == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+") and not str(args[0]).startswith(cache):
        writes.append(str(args[0]))
sys.addaudithook(hook)
found = []
for modules, forbidden in json.loads(sys.argv[1]):
    with event.install_recorder("numba:compile") as compiled:
        for module in modules:
            importlib.import_module(module)
    found.append({
        "loaded": [name for name in forbidden if name in sys.modules],
        "threads": threading.active_count(),
        "compiled": len(compiled.buffer),
        "cuda": torch.cuda.is_initialized(),
        "writes": [*writes],
    })
print(json.dumps(found))
"""


def _import_in_a_fresh_interpreter(
    stages: list[tuple[list[str], tuple[str, ...]]],
) -> list[dict[str, object]]:
    """Import modules stage by stage; return what each stage did, with what it loaded of the packages named beside it."""
    import json

    done = subprocess.run(
        [sys.executable, "-c", _IMPORT_ALL, json.dumps(stages)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


FREE = {"loaded": [], "threads": 1, "compiled": 0, "cuda": False, "writes": []}


def test_importing_is_free_and_loads_neither_a_window_before_its_modules_nor_anything_of_cuda():
    """A machine without OpenGL cannot even import Dear PyGui, and must still train in the terminal. Without a card nobody pays
    for it: neither the packages nor their compiler are looked for at start.
    """
    app = list(_sources("app"))
    terminal = [name for name in app if not name.startswith(("app.gl", "app.gui", "app.__main__"))]
    stages = {
        "the engine and the library": ([*_sources("engine"), "nerfviewer"], (*WINDOW, *CUDA)),
        "the command line": (terminal, (*WINDOW, *CUDA)),
        "the window": (app, CUDA),
    }
    for what, found in zip(stages, _import_in_a_fresh_interpreter(list(stages.values())), strict=True):
        assert found == FREE, what


def _declares_all(path: Path) -> bool:
    names = (
        t.id
        for n in _tree(path).body
        if isinstance(n, ast.Assign)
        for t in n.targets
        if isinstance(t, ast.Name)
    )
    return "__all__" in names


@pytest.mark.parametrize(
    "module",
    [
        name
        for name, path in {
            **_sources("engine"),
            **_sources("app"),
            "nerfviewer": ROOT / "nerfviewer.py",
        }.items()
        if _declares_all(path)
    ],
)
def test_all_names_exist_once_and_in_order(module):
    loaded = importlib.import_module(module)
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []
    assert len(set(loaded.__all__)) == len(loaded.__all__)


def test_every_message_says_who_sends_it_and_what_it_means():
    files = (ROOT / "engine" / "messages").glob("*.py")
    classes = [node for file in files for node in _tree(file).body if isinstance(node, ast.ClassDef)]
    assert len(classes) > 20
    assert [node.name for node in classes if len((ast.get_docstring(node) or "").split()) < 4] == []


def test_every_message_is_frozen():
    from engine import messages

    kinds = [
        k
        for k in vars(messages).values()
        if isinstance(k, type) and k.__module__.startswith("engine.messages.")
    ]
    assert len(kinds) > 20
    sent = [
        k for k in kinds if issubclass(k, messages.Command | messages.Event) and k is not messages.Command
    ]
    assert [k.__name__ for k in sent if k is not messages.Event and not k.__dataclass_params__.frozen] == []


def _configurations() -> list[type]:
    from app.settings import Settings
    from engine.datasets.options import SceneOptions
    from engine.export.options import ExportOptions
    from engine.methods.common import method_class, method_names

    return [SceneOptions, ExportOptions, Settings, *(method_class(name).Config for name in method_names())]


def test_every_option_has_help_and_every_number_a_range():
    options = [info for config in _configurations() for info in describe(config)]
    assert len(options) > 10
    assert [info.name for info in options if len(info.help.split()) < 3 or not info.help.endswith(".")] == []
    numbers = [info for info in options if info.type in (int, float)]
    assert [info.name for info in numbers if info.minimum is None] == []
    bounded = [
        info for info in numbers if info.unit != "steps"
    ]  # a moment in training may be as late as one likes
    assert [info.name for info in bounded if info.maximum is None] == []


def test_every_default_is_a_legal_value():
    for config in _configurations():
        for info in describe(config):
            assert info.check(info.default) == info.default


# --- what every file declares -------------------------------------------------------------------------------------

FOLDERS = ("app", "engine", "shaders", "tests", "tools", "benchmarks", ".ci")
SUFFIXES = (".py", ".sh", ".glsl", ".vert", ".frag", ".geom", ".comp", ".cu", ".cuh", ".toml", "")


def _project_files() -> list[Path]:
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*")]
    found += [*ROOT.glob("*.py"), ROOT / "pyproject.toml", ROOT / "Makefile"]
    hidden = ("__pycache__", "output", "results")
    return sorted(p for p in found if p.is_file() and p.suffix in SUFFIXES and not set(hidden) & set(p.parts))


def test_every_file_names_its_licence_at_the_top():
    unnamed = [
        str(path.relative_to(ROOT))
        for path in _project_files()
        if not any(
            "SPDX-License-Identifier: MIT" in line
            for line in path.read_text(encoding="utf-8").splitlines()[:3]
        )
    ]
    assert unnamed == []


def test_every_module_with_code_opens_with_a_docstring():
    modules = {**_sources("engine"), **_sources("app"), "nerfviewer": ROOT / "nerfviewer.py"}
    assert [
        name for name, path in modules.items() if _tree(path).body and not ast.get_docstring(_tree(path))
    ] == []


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(?<![\w.:/])/(home|root|Users|work|mnt|media)/\w", "a path of somebody's machine"),
        (r"[A-Z]:\\+Users\\", "a path of somebody's machine"),
        (r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b", "a promise; an issue is the place for it"),
        (r"^(<{7}|>{7}|={7})( |$)", "a merge that was not finished"),
        (r"@author|\\author", "an author tag; the history knows"),
    ],
)
def test_no_file_contains(pattern, why):
    texts = [*_project_files(), ROOT / "README.md", ROOT / "CHANGELOG.md"]
    expression = re.compile(pattern, re.MULTILINE)
    found = [
        f"{path.relative_to(ROOT)}: {match.group(0)!r}"
        for path in texts
        if path != Path(__file__).resolve()
        for match in expression.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == [], why


def test_no_file_is_named_after_leftovers():
    names = {path.stem.lower() for path in [*_sources("engine").values(), *_sources("app").values()]}
    assert names & {"utils", "util", "helpers", "helper", "misc"} == set()
