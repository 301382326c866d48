"""SqueezeNet 1.1 as an embedder: what is in a picture and how it is drawn, as two vectors.

Pictures of any size come in, `Embeddings` go out: `content` to find the same thing again, near duplicates above all; `style` to find what
is drawn differently. The weights (2.5 MB, ImageNet) come with Decal, so it works without a hub; the README.md beside them says where they
are from. Pictures are squeezed to one square and not cropped: what a crop cuts off may be the only difference between two pictures.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

from decal.errors import BaseModelError

WEIGHTS = Path(__file__).parent / "mini" / "squeezenet" / "model.safetensors"
SIDE_PX = 128
"""Side of the square that every picture is resized to; the network was trained at 227 px (LOG.md, 2026-11-25)."""
BATCH = 16
# Blue, green, red, in 0..255. Source: train_val.prototxt of SqueezeNet_v1.1 in github.com/forresti/SqueezeNet.
MEANS = (104.0, 117.0, 123.0)
CONTENT_WIDTH = 512
STYLE_LAYERS = ("fire2", "fire3")
SHADES = 6
STEPS = 17
STYLE_WIDTH = 128 + 128 + SHADES**3 + STEPS


@dataclass(frozen=True)
class Embeddings:
    """What was seen in N pictures, float32, rows in the order of the pictures; a dot product of two rows is their cosine.

    content: [N, C], length 1, no entry negative. style: [N, S], length 1.
    """

    content: NDArray[np.float32]
    style: NDArray[np.float32]


class Fire(nn.Module):
    """A narrow 1x1 convolution, then a 1x1 and a 3x3 one side by side."""

    def __init__(self, channels: int, squeezed: int, expanded: int):
        super().__init__()
        self.squeeze1x1 = nn.Conv2d(channels, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, channels, h, w] to [B, 2 * expanded, h, w]."""
        x = functional.relu(self.squeeze1x1(x))
        return functional.relu(torch.cat([self.expand1x1(x), self.expand3x3(x)], dim=1))


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1 for the thousand classes of ImageNet.

    Source: Iandola et al. 2016, arXiv:1602.07360; version 1.1 as in github.com/forresti/SqueezeNet. Like the port to Keras, and unlike
    Caffe, the poolings drop an incomplete last window.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, stride=2)
        self.fire2, self.fire3 = Fire(64, 16, 64), Fire(128, 16, 64)
        self.fire4, self.fire5 = Fire(128, 32, 128), Fire(256, 32, 128)
        self.fire6, self.fire7 = Fire(256, 48, 192), Fire(384, 48, 192)
        self.fire8, self.fire9 = Fire(384, 64, 256), Fire(512, 64, 256)
        self.conv10 = nn.Conv2d(512, 1000, 1)

    def features(self, pixels: Tensor) -> dict[str, Tensor]:
        """Activations by layer, none negative. pixels: [B, 3, H, W], RGB, 0..1, sides of at least 31 px."""
        x = 255 * pixels.flip(1) - pixels.new_tensor(MEANS)[:, None, None]
        seen = {"conv1": functional.relu(self.conv1(x))}
        x = functional.max_pool2d(seen["conv1"], 3, 2)
        seen["fire2"] = self.fire2(x)
        seen["fire3"] = self.fire3(seen["fire2"])
        seen["fire4"] = self.fire4(functional.max_pool2d(seen["fire3"], 3, 2))
        seen["fire5"] = self.fire5(seen["fire4"])
        seen["fire6"] = self.fire6(functional.max_pool2d(seen["fire5"], 3, 2))
        seen["fire7"] = self.fire7(seen["fire6"])
        seen["fire8"] = self.fire8(seen["fire7"])
        seen["fire9"] = self.fire9(seen["fire8"])
        return seen

    def forward(self, pixels: Tensor) -> Tensor:
        """The chance of each class of ImageNet, [B, 1000]. pixels: [B, 3, H, W], RGB, 0..1."""
        votes = functional.relu(self.conv10(self.features(pixels)["fire9"]))
        return votes.mean(dim=(2, 3)).softmax(dim=1)


class Embedder:
    """A SqueezeNet with its weights, ready to look at pictures."""

    def __init__(self, network: SqueezeNet, device: torch.device):
        self.network = network.to(device, torch.float32).eval().requires_grad_(False)
        self.device = device

    @classmethod
    def load(cls, device: torch.device) -> "Embedder":
        """The embedder that comes with Decal. Raises BaseModelError when its file is not there or is damaged."""
        return cls(load_network(WEIGHTS), device)

    def embed(self, pictures: Iterable[Image.Image] | Tensor) -> Embeddings:
        """What is seen in the pictures; a row does not depend on the other pictures.

        pictures: RGB of any size, taken a few at a time, so a generator need not hold all of them; or [B, 3, H, W], 0..1.
        """
        batches = _batches(_split(pictures) if isinstance(pictures, Tensor) else iter(pictures))
        content, style = [np.zeros((0, CONTENT_WIDTH), np.float32)], [np.zeros((0, STYLE_WIDTH), np.float32)]
        # TF32, the default of convolutions on a GPU, would make a row depend on its batch in the third decimal.
        with torch.inference_mode(), torch.backends.cudnn.flags(allow_tf32=False, deterministic=True):
            for batch in batches:
                pixels = batch.to(self.device)
                seen = self.network.features(pixels)
                content.append(content_of(seen).cpu().numpy())
                style.append(style_of(seen, pixels).cpu().numpy())
        return Embeddings(np.concatenate(content), np.concatenate(style))


def load_network(path: Path) -> SqueezeNet:
    """The network with the weights of a file, on the CPU. Raises BaseModelError when the file is not there, damaged or another."""
    network = SqueezeNet()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise BaseModelError(f"{path} cannot be read: {error}\nThe file is a part of Decal. Install Decal again.") from error
    return network


def content_of(seen: dict[str, Tensor]) -> Tensor:
    """What is in the pictures, [B, CONTENT_WIDTH]: the mean over all places of the last layer, so it moves little when the thing moves.

    seen: activations by layer. The root keeps a few strong channels from drowning the rest; so a dot product is the Bhattacharyya
    coefficient of two distributions over the channels. Source: Arandjelovic and Zisserman 2012, "Three things everyone should know".
    """
    # The root of a number near 0 would blow up rounding, which is not the same in every batch; means are around 1.
    return functional.normalize((seen["fire9"].mean(dim=(2, 3)) + 1e-4).sqrt())


def style_of(seen: dict[str, Tensor], pixels: Tensor) -> Tensor:
    """How the pictures are drawn, [B, STYLE_WIDTH]: texture, colours and edges, each a third of it.

    seen: activations by layer, of pixels [B, 3, H, W], 0..1. Texture is the deviation over all places of each channel of two early layers.
    Source of the idea: Huang and Belongie 2017, arXiv:1703.06868.
    """
    textures = [functional.normalize(seen[layer].std(dim=(2, 3), correction=0)) for layer in STYLE_LAYERS]
    parts = [functional.normalize(torch.cat(textures, dim=1)), colours_of(pixels).sqrt(), edges_of(pixels).sqrt()]
    return torch.cat(parts, dim=1) / math.sqrt(len(parts))


def colours_of(pixels: Tensor) -> Tensor:
    """Shares of the colours on a grid of SHADES in each of red, green and blue, [B, SHADES ** 3], sum 1. pixels: [B, 3, H, W], 0..1."""
    # Every fourth place is enough for shares, and four times as fast.
    shares = _shares(pixels[:, :, ::2, ::2].flatten(2) * (SHADES - 1), SHADES)
    pairs = (shares[:, 0, :, :, None] * shares[:, 1, :, None, :]).flatten(2)
    return torch.bmm(pairs.transpose(1, 2), shares[:, 2]).flatten(1) / shares.shape[2]


def edges_of(pixels: Tensor) -> Tensor:
    """Shares of places by how much the brightness changes there, on a scale of half stops, [B, STEPS], sum 1.

    pixels: [B, 3, H, W], 0..1.
    """
    brightness = pixels.mean(dim=1)
    across = brightness[:, :-1, 1:] - brightness[:, :-1, :-1]
    down = brightness[:, 1:, :-1] - brightness[:, :-1, :-1]
    change = (across.square() + down.square()).sqrt().flatten(1)
    # A change of one part in 256, the least there is, falls on the lowest step.
    return _shares(2 * (change.clamp(min=1 / 256).log2() + 8), STEPS).mean(dim=1)


def _shares(places: Tensor, count: int) -> Tensor:
    """Each number in 0..count-1, split between the two whole numbers beside it: [..., count], sum 1.

    Split and not rounded, so that a speck of noise cannot push a whole plane of colour over a border.
    """
    centres = torch.arange(count, device=places.device, dtype=places.dtype)
    return functional.relu(1 - (places.clamp(0, count - 1)[..., None] - centres).abs())


def _split(pictures: Tensor) -> Iterator[Image.Image]:
    """The pictures of [B, 3, H, W], 0..1, rounded to 8 bits, as when they are saved: so a picture and its tensor give the same row."""
    for pixels in pictures:
        levels = (255 * pixels.detach().float().clamp(0, 1)).round().to("cpu", torch.uint8)
        yield Image.fromarray(levels.permute(1, 2, 0).contiguous().numpy())


def _batches(pictures: Iterator[Image.Image]) -> Iterator[Tensor]:
    """The pictures at their final size, a few at a time: [<= BATCH, 3, SIDE_PX, SIDE_PX], 0..1."""
    while rows := [_resize(picture) for picture in islice(pictures, BATCH)]:
        yield torch.from_numpy(np.stack(rows)).permute(0, 3, 1, 2).to(torch.float32) / 255


def _resize(picture: Image.Image) -> NDArray[np.uint8]:
    assert picture.mode == "RGB", f"a picture to embed must be RGB, this is {picture.mode}"
    return np.asarray(picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.BILINEAR))
