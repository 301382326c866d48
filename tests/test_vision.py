"""What the embedder sees, on two photographs and on the pictures of the sample."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageOps

from decal import vision
from decal.errors import BaseModelError
from decal.vision import CONTENT_WIDTH, STYLE_WIDTH, Embedder

PHOTOS = Path(__file__).parent / "photos"
SAMPLE = Path(vision.__file__).parent / "mini" / "sample"
CPU = torch.device("cpu")


def on_white(path: Path) -> Image.Image:
    ground = Image.new("RGBA", Image.open(path).size, "white")
    return Image.alpha_composite(ground, Image.open(path).convert("RGBA")).convert("RGB")


def pixels_of(picture: Image.Image) -> torch.Tensor:
    """[1, 3, H, W], 0..1."""
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None] / 255


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return Embedder.load(CPU)


@pytest.fixture(scope="module")
def stickers() -> list[Image.Image]:
    return [on_white(path) for path in sorted(SAMPLE.glob("*.png"))]


# Numbers of the classes: ILSVRC 2012 in alphabetical order of their WordNet ids, as in Caffe.
@pytest.mark.parametrize(
    ("photo", "names"), [("cat", {281: "tabby", 282: "tiger cat", 285: "Egyptian cat"}), ("espresso", {967: "espresso"})]
)
def test_the_network_names_what_is_in_a_photograph(embedder: Embedder, photo: str, names: dict[int, str]) -> None:
    chances = embedder.network(pixels_of(Image.open(PHOTOS / f"{photo}.jpg")))[0]
    # With red and blue exchanged the espresso gets 0.35.
    assert chances[list(names)].sum() > 0.9


def test_rows_have_length_one_and_stand_in_the_order_of_the_pictures(embedder: Embedder, stickers: list[Image.Image]) -> None:
    seen = embedder.embed(stickers[:3])
    assert (seen.content.shape, seen.style.shape) == ((3, CONTENT_WIDTH), (3, STYLE_WIDTH))
    assert {seen.content.dtype.name, seen.style.dtype.name} == {"float32"}
    np.testing.assert_allclose(np.linalg.norm(seen.content, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(seen.style, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(embedder.embed(stickers[2:3]).content[0], seen.content[2], atol=1e-5)


def test_a_row_does_not_depend_on_its_batch(embedder: Embedder, stickers: list[Image.Image]) -> None:
    together = embedder.embed(picture for picture in stickers)
    alone = [embedder.embed([picture]) for picture in stickers]
    np.testing.assert_allclose(together.content, np.concatenate([one.content for one in alone]), rtol=0, atol=1e-5)
    np.testing.assert_allclose(together.style, np.concatenate([one.style for one in alone]), rtol=0, atol=1e-5)


def test_the_same_pictures_give_the_same_bytes(embedder: Embedder, stickers: list[Image.Image]) -> None:
    first, second = embedder.embed(stickers[:5]), Embedder.load(CPU).embed(stickers[:5])
    assert first.content.tobytes() == second.content.tobytes()
    assert first.style.tobytes() == second.style.tobytes()


@pytest.mark.parametrize("size", [(400, 300), (60, 300), (20, 20), (1, 1)])
def test_a_picture_of_any_size_and_its_tensor_give_the_same(embedder: Embedder, size: tuple[int, int]) -> None:
    picture = Image.open(PHOTOS / "cat.jpg").resize(size)
    from_picture, from_tensor = embedder.embed([picture]), embedder.embed(pixels_of(picture))
    assert from_picture.content.tobytes() == from_tensor.content.tobytes()
    assert from_picture.style.tobytes() == from_tensor.style.tobytes()


def test_no_pictures_give_no_rows(embedder: Embedder) -> None:
    seen = embedder.embed([])
    assert (seen.content.shape, seen.style.shape) == ((0, CONTENT_WIDTH), (0, STYLE_WIDTH))


def test_a_compressed_copy_and_a_mirrored_one_are_nearest_to_their_original(embedder: Embedder, stickers: list[Image.Image]) -> None:
    def compressed(picture: Image.Image) -> Image.Image:
        file = io.BytesIO()
        picture.save(file, "JPEG", quality=30)
        return Image.open(file)

    originals = embedder.embed(stickers).content
    for copy in (compressed, ImageOps.mirror):
        copies = embedder.embed(copy(picture) for picture in stickers).content
        assert (copies @ originals.T).argmax(axis=1).tolist() == list(range(30))


def test_another_style_is_the_farthest_from_the_rest(embedder: Embedder, stickers: list[Image.Image]) -> None:
    for photo in ("cat", "espresso"):
        style = embedder.embed([*stickers, Image.open(PHOTOS / f"{photo}.jpg")]).style
        assert (style @ style.sum(axis=0)).argmin() == len(stickers)


def test_a_plain_picture_has_one_colour_and_no_edge() -> None:
    plain = pixels_of(Image.new("RGB", (64, 64), (255, 51, 0)))  # red 5, green 1, blue 0 on the grid of six shades
    colours, edges = vision.colours_of(plain)[0], vision.edges_of(plain)[0]
    assert (colours.argmax().item(), edges.argmax().item()) == (5 * 36 + 1 * 6, 0)
    np.testing.assert_allclose([colours.max(), edges.max()], 1, atol=1e-5)


def test_half_black_and_half_white_share_the_colours() -> None:
    picture = Image.new("RGB", (64, 64), "black")
    ImageDraw.Draw(picture).rectangle((32, 0, 63, 63), fill="white")
    colours = vision.colours_of(pixels_of(picture))[0]
    np.testing.assert_allclose([colours[0], colours[-1]], 0.5, atol=1e-5)


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(vision.WEIGHTS.read_bytes()[:1000])
    with pytest.raises(BaseModelError, match=r"model\.safetensors cannot be read.*\nThe file is a part of Decal"):
        vision.load_network(tmp_path / "model.safetensors")
