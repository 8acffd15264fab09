"""Sizes that only the Keras model tells: how many channels the feature map beside a Dense has.

PyTorch flattens a feature map channels first, Keras channels last. Which is which cannot be seen in the weights: it
takes the number of channels, and that stands in the layers before the Flatten, or in the Reshape after the layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from math import prod

from remap.inventory.inventory import Inventory, Layer
from remap.layout.expression import Inferred

FLATTENING = {"Flatten", "Reshape"}
_SAME_CHANNELS = (
    "Pooling",
    "Padding",
    "Cropping",
    "UpSampling",
    "Dropout",
    "Activation",
    "LU",
    "Normalization",
    "Noise",
)
_SAME_CHANNELS_EXACT = {
    "Add",
    "Average",
    "Identity",
    "Maximum",
    "Minimum",
    "Multiply",
    "Rescaling",
    "Softmax",
    "Subtract",
}
_VECTORS = ("bias", "beta", "gamma", "moving_mean")


class Graph:
    """The layers of an inventory as a graph, as far as it tells what feeds what.

    Args:
        target: The inventory.

    >>> dense = Layer("dense", "Dense", "dense", "dense", inputs=("flatten",))
    >>> flatten = Layer("flatten", "Flatten", "flatten", "flatten", inputs=("conv",))
    >>> conv = Layer("conv", "Conv2D", "conv", "conv", settings={"filters": 8})
    >>> Graph(Inventory("demo", (), (conv, flatten, dense), "functional", "3.15.1")).channels_before(dense)
    8
    """

    def __init__(self, target: Inventory) -> None:
        counts = Counter(layer.name for layer in target.layers)
        self._layers = {layer.name: layer for layer in target.layers if counts[layer.name] == 1}
        self._shapes: dict[str, dict[str, tuple[int, ...]]] = {}
        for variable in target.variables:
            own = self._shapes.setdefault(target.layers[variable.layer].path, {})
            own[variable.path.rpartition("/")[2]] = variable.shape
        self._fed: dict[str, list[Layer]] = {}
        for layer in target.layers:
            for name in layer.inputs:
                self._fed.setdefault(name, []).append(layer)

    def size(self, what: Inferred, layer: Layer) -> int | None:
        """A size that a layout asks for; None where the model does not tell."""
        sizes: Mapping[Inferred, Callable[[Layer], int | None]] = {
            "channels_before": self.channels_before,
            "channels_after": self.channels_after,
        }
        return sizes[what](layer)

    def flatten_before(self, layer: Layer) -> Layer | None:
        """The Flatten that feeds a layer, with nothing between them that would change the order of features."""
        for source in self._sources(layer):
            if source.class_name in FLATTENING and _is_flat(source):
                return source
            if _keeps_channels(source) and (flatten := self.flatten_before(source)) is not None:
                return flatten
        return None

    def channels_before(self, layer: Layer) -> int | None:
        """Channels of the feature map before the Flatten that feeds a layer."""
        flatten = self.flatten_before(layer)
        return self._agreed(flatten) if flatten is not None else None

    def channels_after(self, layer: Layer) -> int | None:
        """Channels of the feature map that the Reshape after a layer makes."""
        for fed in self._fed.get(layer.name, []):
            if fed.class_name == "Reshape" and not _is_flat(fed):
                return _positive(fed.settings["target_shape"][-1])
            if _keeps_channels(fed) and (size := self.channels_after(fed)) is not None:
                return size
        return None

    def _sources(self, layer: Layer) -> list[Layer]:
        return [self._layers[name] for name in layer.inputs if name in self._layers]

    def _agreed(self, layer: Layer) -> int | None:
        """The one number of channels that all inputs of a layer have."""
        sizes = {self._channels(source) for source in self._sources(layer)}
        return sizes.pop() if len(sizes) == 1 else None

    def _channels(self, layer: Layer) -> int | None:
        settings, shapes = layer.settings, self._shapes.get(layer.path, {})
        if settings.get("data_format") == "channels_first":
            return None
        if layer.class_name == "InputLayer":
            return _positive(settings.get("batch_shape", [None])[-1])
        if layer.class_name == "Reshape":
            return None if _is_flat(layer) else _positive(settings["target_shape"][-1])
        if layer.class_name == "Concatenate":
            parts = [self._channels(source) for source in self._sources(layer)]
            return sum(part for part in parts if part) if settings.get("axis") == -1 and all(parts) else None
        if "filters" in settings or "units" in settings:
            return _positive(settings.get("filters", settings.get("units")))
        if layer.class_name.startswith("DepthwiseConv"):
            return prod(shapes["kernel"][-2:]) if "kernel" in shapes else None
        vector = next((shapes[name] for name in _VECTORS if len(shapes.get(name, ())) == 1), None)
        if vector is not None:
            return vector[0]
        return self._agreed(layer) if _keeps_channels(layer) else None


def _keeps_channels(layer: Layer) -> bool:
    name = layer.class_name
    return name in _SAME_CHANNELS_EXACT or any(part in name for part in _SAME_CHANNELS)


def _is_flat(layer: Layer) -> bool:
    """Whether a layer's result has one axis beside the batch; a Flatten's always has."""
    return layer.class_name == "Flatten" or len(layer.settings.get("target_shape", (0, 0))) == 1


def _positive(size: object) -> int | None:
    return size if isinstance(size, int) and size > 0 else None
