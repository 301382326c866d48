"""What an adapter does to one layer, as a change of its weight: every kind that is a function of the kept weight and the file alone.

LoRA and LoCon, with or without a middle factor, LoHa, LoKr, whole differences, and DoRA around any of them. So any of these is put on
exactly, by adding to the kept copy, and drawing pays nothing for it.
Sources: LyCORIS functional/ for LoHa, LoKr, middle factors and `dora_scale`; peft tuners/lora/dora.py for its magnitude vector.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from decal.errors import AdapterError

Role = Literal[
    "down", "up", "mid", "up_bias", "alpha", "dora_scale", "magnitude", "diff", "diff_b", "w_norm", "b_norm",
    "hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2",
    "lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2",
]  # fmt: skip
"""What a tensor is to its layer; down and up are A and B of a LoRA."""

LOHA = frozenset({"hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b"})
AROUND = frozenset({"alpha", "dora_scale", "magnitude", "diff_b"})
# What may stand together, beside what may stand around it.
KINDS: dict[str, list[frozenset[str]]] = {
    "LoRA": [frozenset({"down", "up"}), frozenset({"down", "up", "up_bias"}), frozenset({"down", "up", "mid"})],
    "LoHa": [LOHA, LOHA | {"hada_t1", "hada_t2"}],
    "LoKr": [
        frozenset(one | other)
        for one in ({"lokr_w1"}, {"lokr_w1_a", "lokr_w1_b"})
        for other in ({"lokr_w2"}, {"lokr_w2_a", "lokr_w2_b"}, {"lokr_w2_a", "lokr_w2_b", "lokr_t2"})
    ],
    "difference": [frozenset({"diff"}), frozenset()],
    "norm": [frozenset({"w_norm"}), frozenset({"w_norm", "b_norm"})],
}


@dataclass(frozen=True)
class Layer:
    """What a file holds for one layer. scale: factor on the product of the factors, alpha / rank or what the file says instead."""

    tensors: dict[Role, Tensor]
    scale: float

    @property
    def kind(self) -> str:
        """LoRA, LoHa, LoKr, difference, norm, or "" where the tensors do not make up one of them."""
        core = frozenset(self.tensors) - AROUND
        if not core and "diff_b" not in self.tensors:
            return ""
        return next((kind for kind, forms in KINDS.items() if core in forms), "")

    @property
    def rank(self) -> int:
        """Of a LoRA, LoHa or LoKr; 0 for others."""
        for name, axis in (("down", 0), ("hada_w1_b", 0), ("lokr_w2_b", 0), ("lokr_w1_b", 0)):
            if name in self.tensors:
                return self.tensors[name].shape[axis]
        return 0

    def changed(self, weight: Tensor) -> Tensor | None:
        """The weight with the adapter at full strength, minus the weight, float32; None where only the bias changes.

        weight: as the base has it, [out, in] or [out, in, k, k]. Raises AdapterError where the shapes differ.
        """
        try:
            difference = self._difference(weight)
        except (RuntimeError, IndexError) as problem:
            shapes = ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in sorted(self.tensors.items()))
            raise AdapterError(f"its factors do not go together ({shapes}) for a weight of {list(weight.shape)}") from problem
        if difference is None:
            return None
        if difference.shape != weight.shape:
            # A projection is a linear layer in some models and a convolution of 1 x 1 in others, and LoKr's factors may be flat.
            is_flat = difference.dim() == 2 or difference.shape[2:] == (1, 1)
            if not is_flat or difference.numel() != weight.numel() or difference.shape[0] != weight.shape[0]:
                raise AdapterError(f"it has {list(difference.shape)} for a weight of {list(weight.shape)}")
            difference = difference.reshape(weight.shape)
        size, is_input = self._magnitude(weight)
        if size is None:
            return difference
        kept = weight.float()
        directed = kept + difference
        axes = [axis for axis in range(directed.dim()) if axis != int(is_input)]
        length = torch.linalg.vector_norm(directed, dim=axes, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        made: Tensor = size.to(kept.device) / length * directed - kept
        return made

    def changed_bias(self) -> Tensor | None:
        """What is added to the bias, float32; None for nothing."""
        if "up_bias" in self.tensors:
            return self.tensors["up_bias"].float() * self.scale
        for name in ("diff_b", "b_norm"):
            if name in self.tensors:
                return self.tensors[name].float()
        return None

    def _difference(self, weight: Tensor) -> Tensor | None:
        parts = {name: tensor.to(weight.device).float() for name, tensor in self.tensors.items()}
        if "up" in parts:
            down, up = parts["down"], parts["up"]
            if "mid" in parts:
                made = torch.einsum("mn...,im,nj->ij...", parts["mid"], up.flatten(1), down.flatten(1))
            else:
                made = (up.flatten(1) @ down.flatten(1)).reshape(up.shape[0], *down.shape[1:])
        elif "hada_w1_a" in parts:
            made = (self._hada(parts, 1) * self._hada(parts, 2)).reshape(weight.shape)
        elif any(name.startswith("lokr_") for name in parts):
            one = parts["lokr_w1"] if "lokr_w1" in parts else parts["lokr_w1_a"] @ parts["lokr_w1_b"]
            other = parts["lokr_w2"] if "lokr_w2" in parts else self._second(parts)
            made = torch.kron(one.reshape(*one.shape, *[1] * (other.dim() - one.dim())), other.contiguous())
        else:
            return parts.get("diff", parts.get("w_norm"))
        return made if self.scale == 1 else made * self.scale

    @staticmethod
    def _hada(parts: dict[Role, Tensor], which: Literal[1, 2]) -> Tensor:
        a, b = (parts["hada_w1_a"], parts["hada_w1_b"]) if which == 1 else (parts["hada_w2_a"], parts["hada_w2_b"])
        if "hada_t1" not in parts:
            return a @ b
        return torch.einsum("ij...,jr,ip->pr...", parts["hada_t1" if which == 1 else "hada_t2"], b, a)

    @staticmethod
    def _second(parts: dict[Role, Tensor]) -> Tensor:
        a, b = parts["lokr_w2_a"], parts["lokr_w2_b"]
        if "lokr_t2" in parts:
            return torch.einsum("ij...,ip,jr->pr...", parts["lokr_t2"], a, b)
        return (a @ b.flatten(1)).reshape(a.shape[0], *b.shape[1:])

    def _magnitude(self, weight: Tensor) -> tuple[Tensor | None, bool]:
        """The length that DoRA gives each row (or column, which the flag says) of the weight, in a shape that spreads over it."""
        ones = [1] * (weight.dim() - 2)
        if "magnitude" in self.tensors:
            # peft: one number a row, [out] or [1, out, 1, 1].
            return self._spread(self.tensors["magnitude"], weight.shape[0], [-1, 1, *ones]), False
        if "dora_scale" not in self.tensors:
            return None, False
        scale = self.tensors["dora_scale"]
        if scale.dim() > 1 and scale.shape[0] == 1 and weight.shape[0] != 1:
            return self._spread(scale, weight.shape[1], [1, -1, *ones]), True
        return self._spread(scale, weight.shape[0], [-1, 1, *ones]), False

    @staticmethod
    def _spread(size: Tensor, count: int, shape: list[int]) -> Tensor:
        if size.numel() != count:
            raise AdapterError(f"its DoRA has {size.numel()} lengths for {count}")
        return size.float().reshape(shape)
