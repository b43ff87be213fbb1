"""Dashed paths that wind over a small canvas and never touch: what `pathfinder` draws."""

from __future__ import annotations

import numpy as np

DASH, GAP, TURN = 2.5, 1.7, 0.5
"""Length of a dash and of a gap in pixels, and how far a path turns from one dash to the next, in radians at most."""
CLEAR, MARGIN, BRIGHT = 2.6, 2.0, 0.7
"""Pixels between two paths, and to the border, at least; grey of a dash (dots are white)."""
TRIES = 60


class Canvas:
    """The dashes laid so far, as segments of two points (row, column) in pixels."""

    def __init__(self, side: int) -> None:
        self.side = side
        self.segments: list[tuple[np.ndarray, np.ndarray]] = []

    def room(self, start: np.ndarray, end: np.ndarray) -> bool:
        """Whether a dash lies inside the margin and clear of all that is laid."""
        points = _along(start, end)
        inside = (points >= MARGIN).all() and (points <= self.side - 1 - MARGIN).all()
        return bool(inside) and all(_distance(points, a, b).min() >= CLEAR for a, b in self.segments)

    def ink(self) -> np.ndarray:
        """Grey, float [side, side] in 0..`BRIGHT`, edges smoothed over a pixel."""
        grid = np.indices((self.side, self.side)).reshape(2, -1).T.astype(float)
        nearest = np.full(len(grid), np.inf)
        for a, b in self.segments:
            nearest = np.minimum(nearest, _distance(grid, a, b))
        return (BRIGHT * np.clip(1.2 - nearest, 0.0, 1.0)).reshape(self.side, self.side)


def path(canvas: Canvas, dashes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray] | None:
    """Lay a path of `dashes` dashes; returns its two ends, or None (nothing laid) where it found no room."""
    for _ in range(TRIES):
        at = rng.uniform(MARGIN, canvas.side - 1 - MARGIN, 2)
        heading = rng.uniform(0, 2 * np.pi)
        laid: list[tuple[np.ndarray, np.ndarray]] = []
        for _ in range(dashes):
            step = np.array([np.sin(heading), np.cos(heading)])
            start, end = at, at + DASH * step
            own = all(_distance(_along(start, end), a, b).min() >= CLEAR for a, b in laid[:-1])
            if not own or not canvas.room(start, end):
                break
            laid.append((start, end))
            at, heading = end + GAP * step, heading + rng.uniform(-TURN, TURN)
        else:
            canvas.segments += laid
            return laid[0][0], laid[-1][1]
    return None


def _along(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """Five points from `start` to `end`, [5, 2]."""
    return start + np.linspace(0, 1, 5)[:, None] * (end - start)


def _distance(points: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance of each of `points` [n, 2] from the segment a-b, [n]."""
    line = b - a
    share = np.clip((points - a) @ line / (line @ line), 0.0, 1.0)
    return np.linalg.norm(points - (a + share[:, None] * line), axis=1)
