"""Images of the web, which are fetched when the input is opened."""

import pathlib

import cv2
import numpy as np
import pytest

from detection import sources
from detection.sources import open_source
from runtime.errors import InputError
from tests.http_folder import serve

RED = (200, 30, 40)


def write_red(path: pathlib.Path) -> None:
    cv2.imwrite(str(path), np.full((40, 60, 3), RED[::-1], np.uint8))


def test_image_of_the_web_is_read(tmp_path):
    write_red(tmp_path / "a b.png")
    with serve(tmp_path) as (address, _):
        source = open_source(f"{address}/a%20b.png?token=secret")
        (frame,) = source
    assert (frame.image_name, frame.stem) == ("a b.png", "a b")
    assert frame.image.shape == (40, 60, 3)
    assert tuple(frame.image[0, 0]) == RED


@pytest.mark.parametrize(
    "name, limit, message",
    [
        ("none.jpg", 10**9, r"none\.jpg did not arrive \(HTTP Error 404: Not Found\): check"),
        ("a.png", 100, r"a\.png is larger than 0 MB: download it"),
    ],
)
def test_image_of_the_web_that_does_not_come_is_refused(
    tmp_path, monkeypatch, name, limit, message
):
    write_red(tmp_path / "a.png")
    monkeypatch.setattr(sources.limits, "MAX_IMAGE_BYTES", limit)
    with serve(tmp_path) as (address, _), pytest.raises(InputError, match=message) as caught:
        open_source(f"{address}/{name}?token=secret")
    assert "secret" not in str(caught.value)


def test_image_of_the_web_that_is_cut_or_of_no_server_is_refused(tmp_path):
    write_red(tmp_path / "a.png")
    with (
        serve(tmp_path, cut=20) as (address, _),
        pytest.raises(InputError, match="did not arrive"),
    ):
        open_source(f"{address}/a.png")
    with pytest.raises(InputError, match="did not arrive"):
        open_source(f"{address}/a.png")  # nobody answers any more
