"""Textured grounds of the drawn data set: quiet colours on which any shape can be seen.

A ground mixes two near tones by a texture; both tones are handed back, so that shapes can keep off
them. Uneven light and grain make every pixel different, as in a photograph.
"""

from typing import NamedTuple

import cv2
import numpy as np


class Ground(NamedTuple):
    """A background, f32[H, W, 3] RGB in 0-255, and the two tones that it is made of."""

    image: np.ndarray
    tones: tuple[np.ndarray, np.ndarray]


def _noise(rng: np.random.Generator, height: int, width: int, cells: tuple[int, int]) -> np.ndarray:
    """Smooth noise f32[H, W] in about -1..1 from a lattice of `cells` = (rows, columns)."""
    lattice = rng.uniform(-1.0, 1.0, (cells[0] + 1, cells[1] + 1)).astype(np.float32)
    return cv2.resize(lattice, (width, height), interpolation=cv2.INTER_CUBIC)


def _clouds(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    octaves = ((3, 0.55), (7, 0.27), (18, 0.14))
    return sum(gain * _noise(rng, height, width, (k, k)) for k, gain in octaves)


def along(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """Pixel coordinate along a random direction, f32[H, W]."""
    turn = rng.uniform(0.0, np.pi)
    rows = np.arange(height, dtype=np.float32)[:, None]
    columns = np.arange(width, dtype=np.float32)[None, :]
    return columns * np.float32(np.cos(turn)) + rows * np.float32(np.sin(turn))


def _wood(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    bend = _noise(rng, height, width, (6, 2))
    rows = np.arange(height, dtype=np.float32)[:, None] / height
    rings = np.sin(rows * rng.uniform(50.0, 90.0) + 5.0 * bend)
    return 0.6 * rings + 0.4 * _noise(rng, height, width, (height // 2, 8))


def _linen(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    warp = _noise(rng, height, width, (6, width // 3))
    weft = _noise(rng, height, width, (height // 3, 6))
    return 0.5 * warp + 0.5 * weft


def _stripes(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    wave = np.sin(along(rng, height, width) * (2 * np.pi / rng.uniform(18.0, 46.0)))
    return np.clip(4.0 * wave, -1.0, 1.0)


def _checks(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return _stripes(rng, height, width) * 0.5 + _stripes(rng, height, width) * 0.5


def _dots(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    turn, pitch = rng.uniform(0.0, np.pi / 2), 2 * np.pi / rng.uniform(16.0, 34.0)
    rows = np.arange(height, dtype=np.float32)[:, None] * np.float32(pitch)
    columns = np.arange(width, dtype=np.float32)[None, :] * np.float32(pitch)
    cosine, sine = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    waves = np.cos(columns * cosine + rows * sine) + np.cos(rows * cosine - columns * sine)
    return np.clip(4.0 * waves - 3.2, -1.0, 1.0)


_TEXTURES = (_clouds, _wood, _linen, _stripes, _checks, _dots)


def _muted(rng: np.random.Generator) -> np.ndarray:
    """A quiet colour, light or dark, f32[3] RGB in 0-255."""
    light = rng.uniform(0.68, 0.9) if rng.random() < 0.62 else rng.uniform(0.16, 0.34)
    hls = np.float32([[[rng.uniform(0.0, 360.0), light, rng.uniform(0.08, 0.42)]]])
    return cv2.cvtColor(hls, cv2.COLOR_HLS2RGB)[0, 0] * 255.0


def ground(rng: np.random.Generator, *, height: int, width: int) -> Ground:
    """A textured background between two near tones, with uneven light and grain."""
    tone = _muted(rng)
    other = np.clip(tone * rng.uniform(0.82, 0.9) + rng.uniform(-9.0, 9.0, 3), 0.0, 255.0)
    other = other.astype(np.float32)
    texture = _TEXTURES[rng.integers(len(_TEXTURES))](rng, height, width)
    mix = np.clip(0.5 + 0.5 * texture, 0.0, 1.0).astype(np.float32)
    light = 1.0 + 0.1 * _noise(rng, height, width, (1, 1))
    grain = rng.standard_normal((height, width), np.float32) * np.float32(rng.uniform(1.0, 4.0))
    image = mix[..., None] * (tone - other)
    image += other
    image *= light[..., None]
    image += grain[..., None]
    return Ground(image, (tone, other))
