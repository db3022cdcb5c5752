"""Textured grounds of the drawn data set: quiet colours on which any shape can be seen.

A ground mixes two near tones by a texture. Uneven light and grain make every pixel different, as in
a photograph. Textures are f32[H, W] in about -1..1.
"""

import cv2
import numpy as np

Size = tuple[int, int]  # height and width, pixels


def _noise(rng: np.random.Generator, size: Size, rows: int, columns: int) -> np.ndarray:
    """Smooth noise from a lattice of so many cells."""
    lattice = rng.uniform(-1.0, 1.0, (rows + 1, columns + 1)).astype(np.float32)
    return cv2.resize(lattice, size[::-1], interpolation=cv2.INTER_CUBIC)


def _grid(size: Size) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = (np.arange(side, dtype=np.float32) for side in size)
    return rows[:, None], columns


def along(rng: np.random.Generator, size: Size) -> np.ndarray:
    """Pixel coordinate along a random direction, f32[H, W]."""
    turn = rng.uniform(0.0, np.pi)
    rows, columns = _grid(size)
    return columns * np.float32(np.cos(turn)) + rows * np.float32(np.sin(turn))


def _clouds(rng: np.random.Generator, size: Size) -> np.ndarray:
    return sum(gain * _noise(rng, size, k, k) for k, gain in ((3, 0.55), (7, 0.27), (18, 0.14)))


def _wood(rng: np.random.Generator, size: Size) -> np.ndarray:
    bend = 5.0 * _noise(rng, size, 6, 2)
    rings = np.sin(_grid(size)[0] / size[0] * rng.uniform(50.0, 90.0) + bend)
    return 0.6 * rings + 0.4 * _noise(rng, size, size[0] // 2, 8)


def _linen(rng: np.random.Generator, size: Size) -> np.ndarray:
    warp = _noise(rng, size, 6, size[1] // 3)
    return 0.5 * warp + 0.5 * _noise(rng, size, size[0] // 3, 6)


def _stripes(rng: np.random.Generator, size: Size) -> np.ndarray:
    wave = np.sin(along(rng, size) * (2 * np.pi / rng.uniform(18.0, 46.0)))
    return np.clip(4.0 * wave, -1.0, 1.0)


def _checks(rng: np.random.Generator, size: Size) -> np.ndarray:
    return _stripes(rng, size) * 0.5 + _stripes(rng, size) * 0.5


def _dots(rng: np.random.Generator, size: Size) -> np.ndarray:
    turn, pitch = rng.uniform(0.0, np.pi / 2), 2 * np.pi / rng.uniform(16.0, 34.0)
    rows, columns = (each * np.float32(pitch) for each in _grid(size))
    cosine, sine = np.float32([np.cos(turn), np.sin(turn)])
    waves = np.cos(columns * cosine + rows * sine) + np.cos(rows * cosine - columns * sine)
    return np.clip(4.0 * waves - 3.2, -1.0, 1.0)


_TEXTURES = (_clouds, _wood, _linen, _stripes, _checks, _dots)


def ground(rng: np.random.Generator, size: Size) -> tuple[np.ndarray, list[np.ndarray]]:
    """A background, f32[H, W, 3] RGB in 0-255, and its two tones, for shapes to keep off."""
    light = rng.uniform(0.68, 0.9) if rng.random() < 0.62 else rng.uniform(0.16, 0.34)
    muted = np.float32([[[rng.uniform(0.0, 360.0), light, rng.uniform(0.08, 0.42)]]])
    tone = cv2.cvtColor(muted, cv2.COLOR_HLS2RGB)[0, 0] * 255.0
    other = np.clip(tone * rng.uniform(0.82, 0.9) + rng.uniform(-9.0, 9.0, 3), 0.0, 255.0)
    other = other.astype(np.float32)
    texture = _TEXTURES[rng.integers(len(_TEXTURES))](rng, size)
    mix = np.clip(0.5 + 0.5 * texture, 0.0, 1.0).astype(np.float32)
    shade = 1.0 + 0.1 * _noise(rng, size, 1, 1)
    grain = rng.standard_normal(size, np.float32) * np.float32(rng.uniform(1.0, 4.0))
    image = (mix[..., None] * (tone - other) + other) * shade[..., None] + grain[..., None]
    return image, [tone, other]
