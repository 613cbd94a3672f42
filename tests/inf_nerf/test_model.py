# SPDX-License-Identifier: MIT
"""The torch module: what rays see, what it costs, fields of one's own, pruning."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from engine.errors import OptionError
from engine.inf_nerf import InfNeRF, OctreeNode
from engine.node_fields import NodeFields
from engine.reference.node_field import node_field
from tests.inf_nerf.small import small_config, small_model, some_rays

LENS = 60.0  # pixels


def test_rays_see_what_they_are_documented_to_see():
    model = small_model()
    rays_o, rays_d = some_rays()
    out = model(rays_o, rays_d, 0.1, 10.0, LENS, 1.0)
    n, s = 40, model.config.num_samples
    shapes = {
        "rgb": (n, 3),
        "depth": (n,),
        "acc": (n,),
        "weights": (n, s),
        "level": (n, s),
        "node_ids": (n, s),
    }
    assert {name: tuple(out[name].shape) for name in shapes} == shapes
    assert torch.equal(out["level"], torch.from_numpy(model.tree.depth).long()[out["node_ids"]])
    positions = rays_o[:, None] + out["z_vals"][..., None] * rays_d[:, None]
    assert bool((positions.abs() <= 1.0 + 1e-4).all())  # a bounded scene ends with its cube
    radii = out["z_vals"] / LENS / torch.pi**0.5
    asked = model.query(positions.reshape(-1, 3), radii.reshape(-1), rays_d.repeat_interleave(s, dim=0))
    assert torch.equal(asked["node_ids"].view(n, s), out["node_ids"])
    optical = asked["density"].view(n, s) * out["deltas"]
    trans = torch.exp(-torch.cumsum(optical, dim=1))
    assert torch.allclose(out["acc"], 1.0 - trans[:, -1], atol=1e-5)


def test_rays_that_miss_see_the_background_and_ask_nobody():
    model = small_model(background=0.25)
    out = model(torch.tensor([[3.0, 3.0, 0.0]]), torch.tensor([[0.0, 0.0, 1.0]]), 0.1, 10.0, LENS)
    assert torch.equal(out["rgb"], torch.full((1, 3), 0.25)) and float(out["acc"].detach()) == 0.0
    with pytest.raises(OptionError, match="near must be below far"):
        model(*some_rays(), 5.0, 5.0, LENS)


def test_unbounded_rays_go_on_behind_the_cube_in_the_root():
    model = small_model(unbounded=True)
    rays_o, rays_d = some_rays()
    out = model(rays_o, rays_d, 0.1, 100.0, LENS)
    outside = ((rays_o[:, None] + out["z_vals"][..., None] * rays_d[:, None]).abs() > 1.0).any(dim=-1)
    assert bool(outside.any()) and set(out["node_ids"][outside].tolist()) == {0}
    assert float(out["z_vals"].max()) > 10.0


@pytest.mark.parametrize("cells", [0, 8])
def test_a_seed_places_and_jitters_alike_however_rays_are_divided(cells):
    model = small_model(occupancy_cells=cells)
    rays_o, rays_d = some_rays()
    plain = model(rays_o, rays_d, 0.1, 10.0, LENS)
    whole = model(rays_o, rays_d, 0.1, 10.0, LENS, seed=3)
    other = model(rays_o, rays_d, 0.1, 10.0, LENS, seed=4)
    part = model(rays_o[15:], rays_d[15:], 0.1, 10.0, LENS, seed=3, ray_numbers=torch.arange(15, 40))
    assert torch.allclose(
        whole["rgb"][15:], part["rgb"], atol=1e-5
    )  # vector units treat the last few numbers otherwise
    assert torch.equal(whole["node_ids"][15:, :2], part["node_ids"][:, :2])
    assert not torch.equal(whole["rgb"], other["rgb"]) and not torch.equal(whole["rgb"], plain["rgb"])
    assert torch.equal(plain["rgb"], model(rays_o, rays_d, 0.1, 10.0, LENS)["rgb"])
    model.config.jitter = False
    fixed = model(rays_o, rays_d, 0.1, 10.0, LENS, seed=3)
    positions = (rays_o[:, None] + fixed["z_vals"][..., None] * rays_d[:, None])[fixed["deltas"] > 0.0]
    radii = (fixed["z_vals"] / LENS / torch.pi**0.5)[fixed["deltas"] > 0.0]
    assert torch.equal(model.octree.route(positions, radii), fixed["node_ids"][fixed["deltas"] > 0.0])


def test_nodes_that_are_not_resident_are_not_asked():
    model = small_model()
    rays_o, rays_d = some_rays()
    resident = torch.zeros(model.tree.nodes, dtype=torch.bool)
    out = model(rays_o, rays_d, 0.1, 10.0, LENS, resident=resident)
    assert set(out["node_ids"].reshape(-1).tolist()) == {0}
    whole = model(rays_o, rays_d, 0.1, 10.0, LENS)
    touched = torch.zeros(model.tree.nodes, dtype=torch.bool)
    touched[whole["node_ids"].reshape(-1)] = True
    again = model(rays_o, rays_d, 0.1, 10.0, LENS, resident=resident | True)
    assert torch.equal(whole["rgb"], again["rgb"])


def test_gradients_reach_the_fields_as_the_readable_twin_has_them():
    model = small_model(appearance_dim=2, num_photos=3)
    rays_o, rays_d = some_rays()
    photo = torch.arange(40) % 3
    out = model(rays_o, rays_d, 0.1, 10.0, LENS, photo=photo)
    weigh = torch.linspace(0.5, 1.5, 120).view(40, 3)
    (out["rgb"] * weigh).sum().backward()
    s, fields = out["z_vals"].shape[1], model.fields
    twin = [p.detach().double().requires_grad_(True) for p in (fields.tables, fields.mlp, fields.appearance)]
    positions = (rays_o[:, None] + out["z_vals"][..., None] * rays_d[:, None]).reshape(-1, 3)
    node = out["node_ids"].reshape(-1)
    unit = model.octree.unit(node, positions, False).double()
    looks = twin[2][photo].repeat_interleave(s, dim=0)
    density, rgb = node_field(
        fields.shape, *twin[:2], node, unit, rays_d.double().repeat_interleave(s, dim=0), looks
    )
    seen = model.volume_renderer.volume_render(
        rgb.view(40, s, 3), density.view(40, s), out["z_vals"].double(), rays_d.double(), out["deltas"].double(), 1.0
    )  # fmt: skip
    assert torch.allclose(out["rgb"].double(), seen["rgb"], atol=2e-6)  # float32
    (seen["rgb"] * weigh.double()).sum().backward()
    for name, wanted in zip(("tables", "mlp", "appearance"), twin):
        found = getattr(fields, name).grad.double()
        assert (found - wanted.grad).abs().max() < 2e-5 * wanted.grad.abs().max() + 1e-9


def test_checkpointed_fields_have_the_same_gradients():
    found = []
    for on in (False, True):
        model = small_model(gradient_checkpointing=on)
        out = model(*some_rays(), 0.1, 10.0, LENS, seed=1)
        out["rgb"].square().sum().backward()
        found.append((out["rgb"].detach(), model.fields.tables.grad, model.fields.mlp.grad))
    assert all(torch.equal(a, b) for a, b in zip(*found))


class Plain(nn.Module):
    """A field of one's own: a linear layer, and nothing of the direction."""

    def __init__(self, node: OctreeNode) -> None:
        super().__init__()
        self.node, self.layer = node, nn.Linear(3, 4)
        self.dtypes: list[torch.dtype] = []

    def forward(self, unit, directions, photo):
        out = self.layer(unit)
        self.dtypes.append(out.dtype)
        return nn.functional.softplus(out[:, 0]), out[:, 1:].sigmoid()


def plain_model(**values) -> InfNeRF:
    torch.manual_seed(0)
    model = InfNeRF(small_config(**values), field_factory=lambda config, node: Plain(node))
    model.build_octree([[0.5, 0.5, 0.5], [-0.5, 0.5, 0.5]])
    return model


def test_every_node_may_have_a_field_of_ones_own():
    model = plain_model()
    assert [field.node.index for field in model.fields.modules_of_nodes] == list(range(model.tree.nodes))
    assert model.tree.nodes == 5 and model.model_bytes() == 5 * 16 * 4
    rays_o, rays_d = some_rays()
    out = model(rays_o, rays_d, 0.1, 10.0, LENS)
    out["rgb"].sum().backward()
    touched = set(out["node_ids"].reshape(-1).tolist())
    assert len(touched) > 2
    for i, field in enumerate(model.fields.modules_of_nodes):
        assert (field.layer.weight.grad is not None) == (i in touched)
    node = out["node_ids"][0, 0]
    field = model.fields.modules_of_nodes[int(node)]
    place = rays_o[:1] + out["z_vals"][:1, :1] * rays_d[:1]
    wanted = field(model.octree.unit(node[None], place, False), rays_d[:1], None)
    found = model.query(place, out["z_vals"][0, :1] / LENS / torch.pi**0.5, rays_d[:1])
    assert torch.allclose(found["density"], wanted[0]) and torch.allclose(found["rgb"], wanted[1])


def test_half_precision_is_for_networks_and_not_for_compositing():
    model = plain_model()
    with torch.autocast("cpu", torch.bfloat16):
        out = model(*some_rays(), 0.1, 10.0, LENS)
    dtypes = {kind for field in model.fields.modules_of_nodes for kind in field.dtypes}
    assert dtypes == {torch.bfloat16}
    assert out["rgb"].dtype == out["weights"].dtype == torch.float32


class Fog(nn.Module):
    """A field of one density everywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.density = nn.Parameter(torch.tensor(100.0))

    def forward(self, unit, directions, photo):
        return self.density.expand(len(unit)), torch.zeros_like(unit)


def test_leaves_that_show_nothing_are_pruned_unless_their_parents_would():
    model = InfNeRF(small_config(), field_factory=lambda config, node: Fog())
    gsd = model.tree.root_gsd
    points = torch.tensor([[0.25, 0.25, 0.25], [0.75, 0.25, 0.25], [-0.5, 0.5, 0.5], [-0.5, -0.5, 0.5]])
    model.build_octree(points, torch.tensor([0.3, 0.3, 0.9, 0.9]) * gsd)
    fogs = model.fields.modules_of_nodes
    deep = [node.index for node in model.nodes() if node.depth == 2]
    leaves = [node.index for node in model.nodes() if node.depth == 1 and node.is_leaf]
    with torch.no_grad():
        fogs[0].density.fill_(0.0)
        fogs[leaves[0]].density.fill_(0.01)  # next to nothing, and the root shows as little
        fogs[deep[0]].density.fill_(0.01)  # next to nothing, but its parent is dense
    assert model.prune().tolist() == [i for i in range(6) if i != leaves[0]]
    assert model.tree.nodes == len(model.fields.modules_of_nodes) == 5
    assert model.prune().tolist() == list(range(5))
    with torch.no_grad():
        for fog in model.fields.modules_of_nodes:
            fog.density.fill_(0.0)
    assert model.prune().tolist() == [0]  # leaves first, then what they leave behind


def test_fields_are_laid_out_as_the_apps_are():
    model = small_model()
    held = NodeFields(
        model.fields.shape, model.fields.tables.detach().numpy(), model.fields.mlp.detach().numpy()
    )
    assert held.slots == model.tree.nodes and held.nbytes() == model.model_bytes()
    assert model.fields.node_bytes * held.slots == held.nbytes()
