"""How near drawn pictures come to the true picture of what was asked for, by where edges and colours lie.

Pixels of drawn and true pictures come in, nearness goes out: 0 for a picture that has nothing in common with the true one, 1 for the true
one itself. No measure of Decal looks at places: its vectors are means and deviations over a picture, its histograms count. A drawing may be
mirrored or moved a little, since nobody asked for a side or a place.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Maps = NDArray[np.float32]

DIRECTIONS = 6
GRID = 32
"""Places along a side, 4 px each at 128 px."""
REACH = 2
"""Places by which a drawing may be moved, in both directions."""
BLUR_PLACES = 0.75
"""Deviation of the blur of the maps: what is drawn half a place aside is still near."""
# A neutral step of this many levels of L weighs as much as all else within a picture: Lab in units of its range.
LAB_RANGE = np.array([100.0, 60.0, 60.0], np.float32)


@dataclass(frozen=True)
class Places:
    """What lies where in N pictures.

    edges: [N, GRID, GRID, DIRECTIONS], by strength. colours: [N, GRID, GRID, 3], as distance from white.
    """

    edges: Maps
    colours: Maps


def places(pixels: Pixels) -> Places:
    """What lies where. pixels: [N, S, S, 3], S a multiple of GRID."""
    lab = _lab(pixels)
    down, across = np.gradient(lab[..., 0], axis=(1, 2))
    strength = np.hypot(down, across)
    # An edge has no front: directions are counted over half a turn, and shared by the two nearest.
    turn = (np.arctan2(down, across) / np.pi) % 1 * DIRECTIONS
    edges = np.stack([strength**2 * np.maximum(0, 1 - _apart(turn, number)) for number in range(DIRECTIONS)], axis=-1)
    # Energy before pooling and its root after it: an edge that is spread over more pixels counts less.
    return Places(_blurred(np.sqrt(_pooled(edges))), _blurred(_pooled(lab - np.array([1, 0, 0], np.float32))))


def mirrored(pixels: Pixels) -> Pixels:
    """The pictures from left to right."""
    return np.ascontiguousarray(pixels[:, :, ::-1])


def nearness(drawn: Pixels, true: Pixels) -> NDArray[np.float64]:
    """How near each drawn picture comes to the true one of the same row, 0..1, [N]; both [N, S, S, 3]."""
    goal = places(true)
    best = np.full(len(drawn), -np.inf)
    for shown in (drawn, mirrored(drawn)):
        found = places(shown)
        for down in range(-REACH, REACH + 1):
            for across in range(-REACH, REACH + 1):
                moved = Places(_moved(found.edges, down, across), _moved(found.colours, down, across))
                alike = (_shared(moved.edges, goal.edges) + _shared(moved.colours, goal.colours)) / 2
                best = np.maximum(best, alike)
    return best


def _shared(first: Maps, second: Maps) -> NDArray[np.float64]:
    """What two maps share through what either holds, [N]: Tanimoto's coefficient, so neither too faint nor too strong pays."""
    axes = (1, 2, 3)
    both = (first * second).sum(axis=axes, dtype=np.float64)
    either = (first**2).sum(axis=axes, dtype=np.float64) + (second**2).sum(axis=axes, dtype=np.float64) - both
    return np.asarray(both / np.maximum(either, 1e-9), np.float64)


def _apart(turn: NDArray[np.float32], number: int) -> NDArray[np.float32]:
    away = np.abs(turn - number)
    return np.asarray(np.minimum(away, DIRECTIONS - away), np.float32)


def _pooled(maps: Maps) -> Maps:
    """Means over the places of the grid."""
    count, side, _, width = maps.shape
    part = side // GRID
    return np.asarray(maps.reshape(count, GRID, part, GRID, part, width).mean(axis=(2, 4)), np.float32)


def _blurred(maps: Maps) -> Maps:
    offsets = np.arange(-2, 3)
    kernel = np.exp(-(offsets**2) / (2 * BLUR_PLACES**2))
    kernel = (kernel / kernel.sum()).astype(np.float32)
    for axis in (1, 2):
        maps = np.sum([weight * _shifted(maps, int(offset), axis) for weight, offset in zip(kernel, offsets, strict=True)], axis=0)
    return np.asarray(maps, np.float32)


def _moved(maps: Maps, down: int, across: int) -> Maps:
    return _shifted(_shifted(maps, down, 1), across, 2)


def _shifted(maps: Maps, by: int, axis: int) -> Maps:
    """The maps moved along an axis; nothing comes in from beyond the border, which is white paper."""
    if by == 0:
        return maps
    moved: Maps = np.roll(maps, by, axis=axis)
    gone = [slice(None)] * maps.ndim
    gone[axis] = slice(0, by) if by > 0 else slice(by, None)
    moved[tuple(gone)] = 0
    return moved


def _lab(pixels: Pixels) -> Maps:
    """CIE Lab with each channel through its range, [N, S, S, 3]. Source: CIE 15:2004 with sRGB of IEC 61966-2-1 and its white, D65."""
    shown = pixels.astype(np.float32) / 255
    linear = np.where(shown <= 0.04045, shown / 12.92, ((shown + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]], np.float32)
    xyz = linear @ to_xyz.T / to_xyz.sum(axis=1)
    root = np.where(xyz > (6 / 29) ** 3, np.cbrt(xyz), xyz / (3 * (6 / 29) ** 2) + 4 / 29)
    lab = np.stack([116 * root[..., 1] - 16, 500 * (root[..., 0] - root[..., 1]), 200 * (root[..., 1] - root[..., 2])], axis=-1)
    return np.asarray(lab / LAB_RANGE, np.float32)
