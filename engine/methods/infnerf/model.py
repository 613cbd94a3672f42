# SPDX-License-Identifier: MIT
"""InfNeRF on the CPU: a tree of fields in training, how it is looked at, pruned and split.

Beside this file: `build` and `points` where the tree comes from, `photos` batches of rays, `step` one training step,
`regularise` the losses on densities, `march` what rays see, `view` pictures, `structure` changes of the tree, `state`
checkpoints.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine.cameras import Camera
from engine.cpu.crew import crew
from engine.cpu.lists import Workspace
from engine.cpu.node_adam import FieldMoments
from engine.cpu.node_field import FieldGradients, forward
from engine.cpu.route import route
from engine.datasets.scene import Scene
from engine.errors import Interrupted, OptionError
from engine.methods.common import AdaptReport, Buffers, Frozen, NodeUse, StepReport, StructureStats
from engine.methods.compiling import warm_up
from engine.methods.infnerf import resting, state, step, structure
from engine.methods.infnerf.appearance import Appearance
from engine.methods.infnerf.build import tree_for_scene
from engine.methods.infnerf.config import InfNeRFConfig
from engine.methods.infnerf.field_tree import FieldTree
from engine.methods.infnerf.inspection import InfNeRFInspection
from engine.methods.infnerf.march import MarchOptions, march, march_options
from engine.methods.infnerf.photos import PyramidPhotos
from engine.methods.infnerf.rays import Rays
from engine.methods.infnerf.resting import Resting
from engine.methods.infnerf.subtree_team import team_of
from engine.methods.infnerf.team import Alone
from engine.methods.infnerf.view import view
from engine.node_fields import FieldShape, NodeFields, empty_fields, fresh_fields
from engine.node_occupancy import Occupancy
from engine.node_tree import NodeTree
from engine.options import describe, updated
from engine.parallel import Ranks

_BRIGHTNESS = {"white": 1.0, "black": 0.0, "learned": 0.5}


class InfNeRF:
    """A tree of fields in training on one scene. See `engine.methods.common.Method` for the contract."""

    name = "infnerf"
    card = ""
    unit = "nodes"
    slow_views = True
    Config = InfNeRFConfig

    def __init__(self, scene: Scene, config: InfNeRFConfig, seed: int = 0) -> None:
        self.scene = scene
        self.config = config
        self.seed = seed
        self.step = 0
        self.rng = np.random.default_rng(seed)
        order = self.rng.permutation(len(scene.train))
        self.photos: PyramidPhotos | None = PyramidPhotos(scene.train, order, config.pyramid)
        self.interrupt: Callable[[], bool] | None = None
        self.resting: Resting | None = None  # in inference mode
        self.cache_budget = 0  # bytes of nodes in memory there; 0: of all
        self.last_touched = np.zeros(0, np.int32)  # nodes that the last picture needed
        self.team: Alone | None = None  # who trains with us
        self.room, self._view_room = Workspace(), Workspace()
        self.appearance = self.fresh_appearance()
        tree = self._planted()
        fields = fresh_fields(self.shape(), tree.nodes, self.rng)
        occupancy = Occupancy.fresh(tree.nodes, config.sampling.grid, self.has_background)
        self.take(tree, fields, FieldMoments.of(fields), occupancy, np.zeros(tree.nodes, np.float32))

    # --- structure ------------------------------------------------------------------------------------------------

    def shape(self) -> FieldShape:
        """Return the size of a node's field."""
        return FieldShape(**vars(self.config.field))

    @property
    def has_background(self) -> bool:
        """Whether the root shows what is around its cube."""
        return self.scene.outside_levels > 0 and self.config.tree.background

    def fresh_appearance(self) -> Appearance:
        """Return the photos' vectors before the first step."""
        return Appearance(len(self.scene.train), self.config.field.appearance)

    def _planted(self) -> NodeTree:
        options = self.config.tree
        return tree_for_scene(
            self.scene, max_res=self.config.field.max_res, gsd_divisor=options.gsd_divisor,
            max_depth=options.max_depth, min_points=options.min_points, seed=self.seed,
        )  # fmt: skip

    def take(
        self,
        tree: NodeTree,
        fields: NodeFields,
        moments: FieldMoments,
        occupancy: Occupancy,
        asked: np.ndarray,
    ) -> None:
        """Go on with another tree and what belongs to its nodes. `asked [N]`: error where finer nodes were wanted."""
        self.tree, self.fields, self.moments = tree, fields, moments
        self.occupancy, self.asked = occupancy, asked
        self.last_touched = np.zeros(0, np.int32)  # of another tree
        self.fresh_gradients()
        if self.team is not None:
            self.team.planted(self)

    def fresh_gradients(self) -> None:
        """Make room for gradients. Alone, those of the tables wait for Adam's step, which takes less time and memory."""
        self.gradients = FieldGradients.of(self.fields, waiting=self.team is None)

    def lay_out(self, tree: NodeTree, rows: np.ndarray) -> None:
        """Go on with another tree: its nodes were `rows [N]` of this one, or are fresh where that is -1."""
        fields, occupancy = (
            empty_fields(self.fields.shape, tree.nodes),
            Occupancy.fresh(tree.nodes, self.occupancy.resolution, self.has_background),
        )
        moments, kept = FieldMoments.of(fields), rows >= 0
        occupancy.threshold = self.occupancy.threshold
        fresh = fresh_fields(self.fields.shape, int(np.count_nonzero(~kept)), self.rng)
        fields.tables[~kept], fields.mlp[~kept] = fresh.tables, fresh.mlp
        fields.tables[kept], fields.mlp[kept] = self.fields.tables[rows[kept]], self.fields.mlp[rows[kept]]
        for new, old in zip(moments.arrays().values(), self.moments.arrays().values(), strict=True):
            new[kept] = old[rows[kept]]
        occupancy.density[kept], occupancy.free[kept] = (
            self.occupancy.density[rows[kept]], self.occupancy.free[rows[kept]],
        )  # fmt: skip
        self.take(tree, fields, moments, occupancy, np.where(kept, self.asked[rows], 0.0).astype(np.float32))

    def prune_now(self) -> AdaptReport:
        """Drop the leaves that show nothing; their parents take over."""
        return structure.prune(self, "prune now")

    def subdivide_now(self) -> AdaptReport:
        """Split the nodes with the largest error where finer ones were wanted."""
        return structure.split(self, "subdivide now")

    def preview_adapt(self) -> AdaptReport:
        """Say what `prune_now` and `subdivide_now` would do with the present options, changing nothing."""
        return structure.preview(self)

    @property
    def inspection(self) -> InfNeRFInspection:
        """What can be done with the tree beyond training it."""
        return InfNeRFInspection(self)

    # --- training -------------------------------------------------------------------------------------------------

    @property
    def background(self) -> np.ndarray:
        """The colour [3] behind everything."""
        return np.full(3, _BRIGHTNESS[self.scene.background], dtype=np.float32)

    @property
    def field_tree(self) -> FieldTree:
        """The tree and its fields as rays need them."""
        return FieldTree(self.tree, self.fields, self.occupancy, self.has_background)

    def march_options(self, samples: int) -> MarchOptions:
        """Return how rays are marched, with so many samples each at most."""
        return march_options(self.config.sampling, self.tree, samples)

    def join(self, ranks: Ranks) -> None:
        """Train with other processes from now on, as `parallel` says. All of them have to hold the same model."""
        self.team = team_of(self, ranks)
        self.fresh_gradients()
        self.team.planted(self)

    def gathers(self, name: str) -> bool:
        """Whether the ranks have to `gather` before a method of that name is called on this one."""
        return self.team is not None and self.team.gathers(name)

    def gather(self, everyone: bool) -> None:
        """Let the first rank, or everyone, have all nodes until the next step. Every rank has to take part."""
        if self.team is not None:
            self.team.gather(self, everyone)

    def exclude(self, views: frozenset[int]) -> None:
        """Pass these training views over from now on, and no others."""
        self.photos.excluded = frozenset(views)

    def train_step(self) -> StepReport:
        """Take one step."""
        return step.take(self)

    def warm_up(self, progress: Callable[[str, int, int], None] | None = None) -> None:
        """Compile (or load from the disk cache) every kernel that training and viewing use."""
        warm_up(self, progress)

    # --- looking --------------------------------------------------------------------------------------------------

    def density(self, nodes: np.ndarray, positions: np.ndarray) -> np.ndarray:
        """Return densities [M] per engine unit at positions [M,3], each as its node int32 [M] sees it."""
        return self.field_tree.density(nodes, positions, crew(), self._view_room)

    def query(
        self, positions: np.ndarray, radii: np.ndarray, directions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return density [M] per engine unit and rgb [M,3] at positions [M,3], as seen by footprints of radii [M].

        `directions [M,3]` are unit, all in engine units.
        """
        nodes = route(self.tree, positions, radii, None, crew())
        ray = np.arange(len(nodes), dtype=np.int32)
        inputs = self.field_tree.inputs(
            nodes, positions, crew(), ray, directions, self.appearance.usual(len(nodes))
        )
        seen = forward(self.fields, inputs, crew(), self._view_room)
        return seen.density, seen.rgb

    def march(
        self,
        rays_o: np.ndarray,  # [Q,3] engine units
        rays_d: np.ndarray,  # [Q,3] of length 1 along the camera's axis
        footprint: np.ndarray,  # [Q] a pixel's radius at t = 1
        background: np.ndarray | None = None,  # [3]; None: the scene's
        *,
        fields: NodeFields | None = None,
        slots: np.ndarray | None = None,  # int32 [N] where in `fields` a node's lies, -1: nowhere
    ) -> dict[str, np.ndarray]:
        """Return what rays see, by name: see `march.Marched`. With `fields` and `slots`, from a part of the model's fields."""
        scene = self.field_tree if fields is None else replace(self.field_tree, fields=fields, slots=slots)
        behind = self.background if background is None else np.asarray(background, np.float32)
        options = self.march_options(self.config.sampling.view_samples)
        rays = Rays(
            np.asarray(rays_o, np.float32), np.asarray(rays_d, np.float32), np.asarray(footprint, np.float32)
        )
        usual = self.appearance.usual(len(rays.rays_o))
        return march(scene, rays, options, behind, crew(), self._view_room, usual).arrays()

    def render(
        self,
        camera: Camera,
        want: frozenset[str] = frozenset(),
        *,
        supersample: float | None = None,
        background: tuple[float, float, float] | None = None,
    ) -> Buffers:
        """Render a view, without anything random; `last_touched` then holds the nodes that it needed."""
        behind = self.background if background is None else np.asarray(background, np.float32)
        rays = 1.0 if supersample is None else supersample
        if self.resting is not None:
            whole = self.interrupt is None
            seen, self.last_touched = self.resting.render(camera, want, rays, background, whole, self.breathe)
            return seen
        scene, options = self.field_tree, self.march_options(self.config.sampling.view_samples)

        def along(rays: Rays) -> Any:
            self.breathe()
            usual = self.appearance.usual(len(rays.rays_o))
            return march(scene, rays, options, behind, crew(), self._view_room, usual)

        seen, self.last_touched = view(self.tree, camera, want, rays, along, self.config.schedule.view_rays)
        return seen

    def frozen(self) -> Frozen:
        """Return a copy that only renders. In inference mode that is the model itself: nothing changes it there."""
        if self.resting is not None:
            return Frozen(self, 0)
        other, fields, occupancy = copy.copy(self), self.fields, self.occupancy
        other.scene = self.scene.without_photos()
        other.photos = other.team = other.moments = other.gradients = other.interrupt = None
        other.room, other._view_room = Workspace(), Workspace()
        other.fields = replace(fields, tables=fields.tables.copy(), mlp=fields.mlp.copy())
        other.occupancy = replace(occupancy, density=occupancy.density.copy(), free=occupancy.free.copy())
        other.appearance = copy.deepcopy(self.appearance)
        return Frozen(other, other.fields.nbytes() + other.occupancy.nbytes())

    def breathe(self) -> None:
        """Give up the picture under way, if something newer is wanted."""
        if self.interrupt is not None and self.interrupt():
            raise Interrupted

    def structure(self) -> StructureStats:
        """Count nodes."""
        held = sum(self.memory().values())
        return structure.count_nodes(self.tree, held, self.fields.shape.entries, self.config.adapt.max_nodes)

    def boxes(self, levels: tuple[int, ...], limit: int) -> np.ndarray:
        """Return up to `limit` nodes of the given levels as [n,4] float32: centre x y z and edge, for wireframes."""
        return structure.node_boxes(self.tree, levels, limit)

    def memory(self) -> dict[str, int]:
        """Return the bytes of each part, by the names that people read."""
        training = 0
        if self.resting is None:
            training = self.gradients.nbytes()
            training += sum(array.nbytes for array in self.moments.arrays().values())
        return {
            "fields": self.fields.nbytes(),
            "optimiser": training,
            "kept densities": self.occupancy.nbytes(),
            "appearance": self.appearance.nbytes,
            "training buffers": self.room.nbytes(),
            "view buffers": self._view_room.nbytes(),
            "photos": 0 if self.photos is None else self.photos.nbytes(),
        }

    # --- inference mode -------------------------------------------------------------------------------------------

    def rest_in(self, folder: Path) -> None:
        """Keep the fields in a folder and read what pictures need; `load_state` ends that."""
        resting.rest(self, folder)

    def forget_buffers(self) -> None:
        """Give back what steps and pictures are made in."""
        self.room, self._view_room = Workspace(), Workspace()

    def set_cache_budget(self, budget_bytes: int) -> None:
        """Let nodes take so many bytes in inference mode, 0: all of them. Too few are refused with the number."""
        resting.refuse_budget(budget_bytes)
        if self.resting is not None:
            self.resting.resize(budget_bytes)
            self.fields = self.resting.stored.cache.fields
        self.cache_budget = budget_bytes

    def node_use(self) -> NodeUse | None:
        """Return what the last picture needed, None before the first."""
        return resting.use_of(self)

    # --- options and state ----------------------------------------------------------------------------------------

    def set_options(self, values: dict[str, Any]) -> None:
        """Change live options by dotted name; others raise OptionError."""
        live = {info.name: info.live for info in describe(self.config)}
        for name in values:
            if not live.get(name, True):
                raise OptionError(f"Option {name} cannot change while a model exists; set it and reset.")
        self.config = updated(self.config, values)

    def state(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return (tensors, JSON-able header) from which `load_state` continues exactly."""
        return state.state_of(self)

    def load_state(self, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
        """Take over a state written by `state`, by this or another process."""
        resting.wake(self)
        if self.photos is None:
            order = np.arange(len(self.scene.train))  # the state has the order that counts
            self.photos = PyramidPhotos(self.scene.train, order, self.config.pyramid)
        state.load_into(self, tensors, header)
