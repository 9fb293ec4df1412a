"""A batched ray tracer in torch: spheres, cubes and cones on a table, on CPU or GPU.

Every pixel is a 2x2 grid of camera rays. Each ray tests four points of a square light, and each
sub-pixel has four other points, so shadows are soft with 16 samples per pixel. Shiny objects mirror
the table, the other objects and the sky by Schlick's approximation of the Fresnel term, and carry a
highlight.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .scenes import MATERIALS, MAX_OBJECTS, SHAPES, Scene

SIZE = 128  # pixels, both ways
_GRID = 2  # camera rays a pixel, each way
_LIGHT_HEIGHT, _LIGHT_HALF = 6.0, 0.9
_FAR = 1e9
EYE = (0.0, -5.6, 3.9)
_TARGET = (0.0, 0.0, 0.34)
_HALF_WIDTH = 1.95  # world units from the middle to the picture's edge, at the target's distance

# Linear RGB; saturated enough to be named at a glance, dark enough to show shading.
_RGB = {
    "red": (0.70, 0.03, 0.03),
    "green": (0.04, 0.42, 0.06),
    "blue": (0.03, 0.09, 0.68),
    "yellow": (0.82, 0.60, 0.02),
    "purple": (0.33, 0.03, 0.50),
    "cyan": (0.02, 0.52, 0.58),
}

Vec = tuple[Tensor, Tensor, Tensor]


@dataclass
class _Scenes:
    """Scenes as arrays, (batch, objects) each; absent objects have `shape` -1."""

    shape: Tensor
    rgb: Tensor  # (batch, objects, 3)
    shiny: Tensor
    radius: Tensor
    x: Tensor
    y: Tensor
    yaw: Tensor
    light: Tensor  # (batch, 2)
    table: Tensor  # (batch, 3)


@torch.no_grad()
def render(
    scenes: Sequence[Scene], size: int = SIZE, device: str | torch.device = "cpu", chunk: int = 8
) -> Tensor:
    """Ray-trace scenes.

    Args:
        scenes: what to show.
        size: picture width and height in pixels.
        device: where to compute.
        chunk: scenes traced at once; on CPU small chunks stay in cache.

    Returns:
        uint8 (n, size, size, 3) sRGB on the CPU.
    """
    parts = [
        _render_chunk(_pack(scenes[i : i + chunk], device), size).cpu()
        for i in range(0, len(scenes), chunk)
    ]
    return torch.cat(parts) if parts else torch.empty(0, size, size, 3, dtype=torch.uint8)


def project(x: float, y: float, z: float) -> tuple[float, float]:
    """Return where a world point falls in the picture, as fractions of width and height (0..1)."""
    right, up, forward = _camera()
    offset = np.subtract((x, y, z), EYE)
    depth = float(offset @ forward)
    half = _HALF_WIDTH / float(np.linalg.norm(np.subtract(_TARGET, EYE)))
    u = float(offset @ right) / depth / half
    v = float(offset @ up) / depth / half
    return (u + 1) / 2, (1 - v) / 2


def _camera() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    forward = np.subtract(_TARGET, EYE)
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (0.0, 0.0, 1.0))
    right /= np.linalg.norm(right)
    return right, np.cross(right, forward), forward


def _pack(scenes: Sequence[Scene], device: str | torch.device) -> _Scenes:
    n = len(scenes)
    numbers = np.zeros((n, MAX_OBJECTS, 9), np.float32)
    numbers[:, :, 0] = -1
    for i, scene in enumerate(scenes):
        for j, o in enumerate(scene.objects):
            numbers[i, j] = (SHAPES.index(o.shape), *_RGB[o.color], MATERIALS.index(o.material),
                             o.radius, o.x, o.y, o.yaw)  # fmt: skip
    t = torch.from_numpy(numbers).to(device)
    return _Scenes(
        t[..., 0].long(), t[..., 1:4], t[..., 4], t[..., 5], t[..., 6], t[..., 7], t[..., 8],
        torch.tensor([s.light for s in scenes], dtype=torch.float32, device=device),
        torch.tensor([s.table for s in scenes], dtype=torch.float32, device=device),
    )  # fmt: skip


def _render_chunk(scenes: _Scenes, size: int) -> Tensor:
    total = None
    for sub in range(_GRID * _GRID):
        color = _trace_subpixel(scenes, size, sub)
        total = color if total is None else total + color
    assert total is not None
    linear = (total / (_GRID * _GRID)).clamp(0, 1)
    srgb = torch.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return (srgb * 255).round().to(torch.uint8).view(-1, size, size, 3)


def _trace_subpixel(scenes: _Scenes, size: int, sub: int) -> Tensor:
    """Return the linear colour (batch, pixels, 3) along one camera ray per pixel."""
    origin, direction = _camera_rays(size, sub, scenes.x.device)
    hit = _closest_hit(scenes, origin, direction)
    color = _shade(scenes, hit, direction, _light_points(scenes, sub))
    mirror = hit.shiny > 0.5
    batch, pixel = mirror.nonzero(as_tuple=True)
    if len(batch):
        color[batch, pixel] += _reflected(scenes, hit, direction, batch, pixel)
    return color


def _camera_rays(size: int, sub: int, device: torch.device) -> tuple[Vec, Vec]:
    """Return origins (1, 1) and unit directions (1, pixels) of one sub-pixel's camera rays."""
    dx, dy = (sub % _GRID + 0.5) / _GRID, (sub // _GRID + 0.5) / _GRID
    steps = torch.arange(size, device=device, dtype=torch.float32)
    half = _HALF_WIDTH / float(np.linalg.norm(np.subtract(_TARGET, EYE)))
    u = ((steps + dx) / size * 2 - 1) * half
    v = (1 - (steps + dy) / size * 2) * half
    v, u = torch.meshgrid(v, u, indexing="ij")
    right, up, forward = _camera()
    parts = [
        (float(forward[k]) + u * float(right[k]) + v * float(up[k])).reshape(1, -1)
        for k in range(3)
    ]
    direction = _normalise((parts[0], parts[1], parts[2]))
    x, y, z = (torch.full((1, 1), c, device=device) for c in EYE)
    return (x, y, z), direction


def _light_points(scenes: _Scenes, sub: int) -> list[Vec]:
    """Return four of 16 points on the square light, (batch, 1) each; sub-pixels take others."""
    points = []
    for k in range(4):
        i, j = 2 * (k % 2) + sub % 2, 2 * (k // 2) + sub // 2
        dx, dy = ((i + 0.5) / 2 - 1) * _LIGHT_HALF, ((j + 0.5) / 2 - 1) * _LIGHT_HALF
        x, y = scenes.light[:, :1] + dx, scenes.light[:, 1:] + dy
        points.append((x, y, torch.full_like(x, _LIGHT_HEIGHT)))
    return points


@dataclass
class _Hit:
    """What rays hit, (batch, rays) each; rays that hit no object hit the table far away."""

    point: Vec
    normal: Vec
    rgb: Tensor  # (batch, rays, 3)
    shiny: Tensor
    is_table: Tensor


def _closest_hit(scenes: _Scenes, origin: Vec, direction: Vec) -> _Hit:
    distance = _object_distances(scenes, origin, direction)  # (batch, objects, rays)
    nearest, which = distance.min(dim=1)
    table = torch.where(direction[2] < -1e-4, -origin[2] / direction[2].clamp(max=-1e-4), _FAR)
    table = table.expand_as(nearest)
    is_table = table < nearest
    t = torch.where(is_table, table, nearest).clamp(max=1e4)
    point = _along(origin, direction, t)
    normal = _normals(scenes, point, which)
    normal = (normal[0].masked_fill(is_table, 0.0), normal[1].masked_fill(is_table, 0.0),
              normal[2].masked_fill(is_table, 1.0))  # fmt: skip
    rgb = scenes.rgb.gather(1, which[..., None].expand(-1, -1, 3))
    rgb = torch.where(is_table[..., None], scenes.table[:, None, :], rgb)
    shiny = scenes.shiny.gather(1, which).masked_fill(is_table, 0.0)
    return _Hit(point, normal, rgb, shiny, is_table)


def _object_distances(scenes: _Scenes, origin: Vec, direction: Vec) -> Tensor:
    """Return the distance to every object along rays: (batch, objects, rays), `_FAR` if missed.

    Rays are (batch or 1, rays or 1). Each object is tested by its own shape's formula only.
    """
    batch = len(scenes.x)
    rays = max(origin[0].shape[1], direction[0].shape[1])
    result = torch.full((batch, MAX_OBJECTS, rays), _FAR, device=scenes.x.device)
    for shape, test in enumerate((_hit_sphere, _hit_cube, _hit_cone)):
        b, j = (scenes.shape == shape).nonzero(as_tuple=True)
        if not len(b):
            continue
        pick = [c if c.shape[0] == 1 else c[b] for c in (*origin, *direction)]
        x, y, r, yaw = (c[b, j, None] for c in (scenes.x, scenes.y, scenes.radius, scenes.yaw))
        o = (pick[0] - x, pick[1] - y, pick[2])
        result[b, j] = test(o, (pick[3], pick[4], pick[5]), r, yaw)
    return result


def _hit_sphere(o: Vec, d: Vec, r: Tensor, yaw: Tensor) -> Tensor:
    o = (o[0], o[1], o[2] - r)
    b = _dot(o, d)
    disc = b * b - (_dot(o, o) - r * r)
    t = -b - disc.clamp(min=0).sqrt()
    return torch.where((disc > 0) & (t > 1e-3), t, _FAR)


def cube_half(radius: Tensor | float) -> Tensor | float:
    """Return half the edge of a cube: a little less than the radius, so that sizes look alike."""
    return radius * 0.80


def cone_height(radius: Tensor | float) -> Tensor | float:
    """Return the height of a cone whose base has this radius."""
    return radius * 2.1


def _hit_cube(o: Vec, d: Vec, r: Tensor, yaw: Tensor) -> Tensor:
    h = cube_half(r)
    o, d = _turn(o, yaw), _turn(d, yaw)
    near, far = None, None
    for k, centre in enumerate((0.0, 0.0, h)):
        inverse = 1 / torch.where(d[k].abs() < 1e-7, 1e-7, d[k])
        a = (centre - h - o[k]) * inverse
        b = (centre + h - o[k]) * inverse
        low, high = torch.minimum(a, b), torch.maximum(a, b)
        near = low if near is None else torch.maximum(near, low)
        far = high if far is None else torch.minimum(far, high)
    assert near is not None
    assert far is not None
    return torch.where((near < far) & (near > 1e-3), near, _FAR)


def _hit_cone(o: Vec, d: Vec, r: Tensor, yaw: Tensor) -> Tensor:
    """Hit the mantle x² + y² = k²(H − z)², 0 ≤ z ≤ H; the base lies on the table, out of sight."""
    height = cone_height(r)
    k2 = (r / height) ** 2
    oz = height - o[2]
    a = d[0] * d[0] + d[1] * d[1] - k2 * d[2] * d[2]
    b = o[0] * d[0] + o[1] * d[1] + k2 * oz * d[2]
    c = o[0] * o[0] + o[1] * o[1] - k2 * oz * oz
    disc = (b * b - a * c).clamp(min=0)
    root, hits = disc.sqrt(), b * b - a * c > 0
    a = torch.where(a.abs() < 1e-7, 1e-7, a)
    best = None
    for t in ((-b - root) / a, (-b + root) / a):
        z = o[2] + t * d[2]
        t = torch.where(hits & (t > 1e-3) & (z >= 0) & (z <= height), t, _FAR)
        best = t if best is None else torch.minimum(best, t)
    assert best is not None
    return best


def _normals(scenes: _Scenes, point: Vec, which: Tensor) -> Vec:
    """Return outward unit normals at points (batch, rays) of the objects in `which`."""
    x, y, r, yaw, shape = (
        c.gather(1, which) for c in (scenes.x, scenes.y, scenes.radius, scenes.yaw, scenes.shape)
    )
    p = (point[0] - x, point[1] - y, point[2])
    sphere = (p[0], p[1], p[2] - r)
    # Cube: the face whose axis the point is furthest along.
    h = cube_half(r)
    q = _turn(p, yaw)
    q = (q[0], q[1], q[2] - h)
    size = torch.stack([q[0].abs(), q[1].abs(), q[2].abs()])
    axis = size.argmax(0)
    face = [torch.where(axis == k, torch.sign(q[k]), 0.0) for k in range(3)]
    cube = _turn((face[0], face[1], face[2]), -yaw)
    slope = (r / cone_height(r)) ** 2 * (cone_height(r) - p[2])
    cone = (p[0], p[1], slope)
    parts = [
        torch.where(shape == 0, sphere[k], torch.where(shape == 1, cube[k], cone[k]))
        for k in range(3)
    ]
    return _normalise((parts[0], parts[1], parts[2]))


def _shade(scenes: _Scenes, hit: _Hit, direction: Vec, lights: list[Vec]) -> Tensor:
    """Return linear RGB (batch, rays, 3) of sky light, lamp, shadow and highlights, not mirrors."""
    start = _along(hit.point, hit.normal, 2e-3)
    lit, highlight = 0.0, 0.0
    for light in lights:
        to_light = _normalise(_subtract(light, start))
        # Everything stands below the lamp, so whatever a shadow ray meets, it meets before the
        # lamp.
        shadowed = (_object_distances(scenes, start, to_light) < _FAR).any(dim=1)
        visible = _dot(hit.normal, to_light).clamp(min=0) * ~shadowed
        half = _normalise(_subtract(to_light, direction))
        lit = lit + visible
        highlight = highlight + (_dot(hit.normal, half).clamp(min=0) ** 90) * (visible > 0)
    lit = lit / len(lights)
    highlight = highlight / len(lights) * hit.shiny
    sky = 0.5 + 0.5 * hit.normal[2]
    # Ambient light is weaker near the table's contact with an object; height stands in for it.
    near_table = (0.55 + 0.45 * (hit.point[2] / 0.5).clamp(0, 1)).masked_fill(hit.is_table, 1.0)
    ambient = (0.10 + 0.28 * sky) * near_table
    albedo = hit.rgb * (1 - 0.25 * hit.shiny[..., None])
    color = albedo * (ambient + 1.05 * lit)[..., None] + 0.9 * highlight[..., None]
    return _with_distance(color, hit)


def _with_distance(color: Tensor, hit: _Hit) -> Tensor:
    """Fade the far table into a pale backdrop."""
    fade = ((hit.point[1] - 2.5) / 9).clamp(0, 1) ** 0.7
    backdrop = torch.tensor([0.62, 0.66, 0.72], device=color.device)
    mixed = color + fade[..., None] * (backdrop - color)
    return torch.where(hit.is_table[..., None], mixed, color)


def _reflected(scenes: _Scenes, hit: _Hit, direction: Vec, batch: Tensor, pixel: Tensor) -> Tensor:
    """Return the light mirrored by the shiny points (batch[i], pixel[i]): (points, 3).

    The points of all scenes are laid out as (scenes, most points) so one tracing serves them.
    """
    n_scenes = len(scenes.x)
    counts = torch.bincount(batch, minlength=n_scenes)
    starts = counts.cumsum(0) - counts
    slot = torch.arange(len(batch), device=batch.device) - starts[batch]
    width = int(counts.max())

    def layout(values: Tensor) -> Tensor:
        values = values.expand(n_scenes, values.shape[1])[batch, pixel]
        grid = values.new_zeros(n_scenes, width)
        grid[batch, slot] = values
        return grid

    normal = (layout(hit.normal[0]), layout(hit.normal[1]), layout(hit.normal[2]))
    incoming = (layout(direction[0]), layout(direction[1]), layout(direction[2]))
    start = (layout(hit.point[0]), layout(hit.point[1]), layout(hit.point[2]))
    cosine = -_dot(incoming, normal)
    bounce = _normalise(_along(incoming, normal, 2 * cosine))
    start = _along(start, normal, 2e-3)
    seen = _closest_hit(scenes, start, bounce)
    light = (scenes.light[:, :1], scenes.light[:, 1:], torch.full_like(scenes.light[:, :1], 6.0))
    color = _shade(scenes, seen, bounce, [light])
    sky_color = torch.tensor([0.75, 0.82, 0.92], device=color.device)
    up = bounce[2].clamp(min=0)[..., None]
    is_sky = (bounce[2] > 0) & seen.is_table
    color = torch.where(is_sky[..., None], sky_color * (0.55 + 0.45 * up), color)
    fresnel = 0.10 + 0.90 * (1 - cosine.clamp(0, 1)) ** 5  # Schlick 1994
    return (color * fresnel[..., None])[batch, slot]


def _turn(v: Vec, yaw: Tensor) -> Vec:
    """Rotate by -yaw about the vertical axis."""
    c, s = torch.cos(yaw), torch.sin(yaw)
    return (c * v[0] + s * v[1], c * v[1] - s * v[0], v[2])


def _dot(a: Vec, b: Vec) -> Tensor:
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def _subtract(a: Vec, b: Vec) -> Vec:
    return (a[0] - b[0], a[1] - b[1], a[2] - b[2])


def _along(origin: Vec, direction: Vec, t: Tensor | float) -> Vec:
    return (origin[0] + t * direction[0], origin[1] + t * direction[1],
            origin[2] + t * direction[2])  # fmt: skip


def _normalise(v: Vec) -> Vec:
    scale = torch.rsqrt(_dot(v, v).clamp(min=1e-12))
    return (v[0] * scale, v[1] * scale, v[2] * scale)
