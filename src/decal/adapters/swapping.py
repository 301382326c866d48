"""One resident base on which adapters take turns.

The weights of the layers concerned are kept as they were, so putting an adapter on is W + strength * change from the kept copy, never a
subtraction; the drawing loop then pays nothing for it, and taking it off gives the same bits back.
"""

import torch
from torch import Tensor, nn

from decal.adapters.names import Parts
from decal.adapters.reading import Adapter
from decal.errors import AdapterError


class Swapper:
    """Puts adapters on the parts of a base, and takes them off."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._kept: dict[str, tuple[nn.Parameter, Tensor]] = {}

    @torch.no_grad()
    def put_on(self, adapter: Adapter | None, strength: float) -> None:
        """Make the base one with this adapter; None makes it the base again.

        Raises AdapterError where a layer is not there or has another shape.
        """
        wanted: dict[str, Tensor] = {}
        for place, layer in adapter.layers.items() if adapter is not None and strength != 0 else ():
            try:
                change = layer.changed(self._keep(f"{place}.weight"))
                bias = layer.changed_bias()
                if change is not None:
                    wanted[f"{place}.weight"] = change
                if bias is not None:
                    self._keep(f"{place}.bias")
                    wanted[f"{place}.bias"] = bias
            except AdapterError as problem:
                raise AdapterError(f"{place}: {problem}.\nUse the base that the adapter was trained on.") from problem
        for name, (parameter, kept) in self._kept.items():
            if name in wanted:
                parameter.copy_(kept.float() + strength * wanted.pop(name).to(kept.device))
            else:
                parameter.copy_(kept)

    def _keep(self, name: str) -> Tensor:
        """The weight or bias of that name as the base had it."""
        if name not in self._kept:
            part, _, rest = name.partition(".")
            try:
                parameter = self._parts[part].get_parameter(rest)
            except (KeyError, AttributeError) as problem:
                raise AdapterError("the base has no such layer") from problem
            self._kept[name] = (parameter, parameter.detach().clone())
        return self._kept[name][1]
