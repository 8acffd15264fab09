"""What a live Keras model holds, in the inventory's order and under the inventory's names."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from remap.errors import TargetError
from remap.formats.keras.legacy_h5 import LegacyPlace
from remap.inventory import naming
from remap.inventory.inventory import BUILD
from remap.sides.keras.family import family_of
from remap.sides.keras.layers import is_model, kind_of, sublayers, walk
from remap.sides.keras.live import is_keras2, legacy_name, path_of
from remap.sides.keras.saved_model import Exported

OWN_WEIGHTS = "top_level_model_weights"
"""The group of the legacy layout that holds the weights of a subclassed model itself."""


@dataclass
class Legacy:
    """Where one variable stands in the legacy layout: its first place, and those of layers that share it."""

    first: tuple[str, str] | None = None
    copies: list[LegacyPlace] = field(default_factory=list)


class Survey:
    """The live variables and layers of a built model, each list in the order of the inventory.

    Attributes:
        variables: Live variables, in legacy order: per top-level layer trainable before non-trainable; then the
            model's own; then those that no top-level layer lists. State of random generators is left out.
        paths: Their paths, without the model's own name, told apart.
        addresses: Their addresses, told apart.
        owners: Index in ``layers`` of the layer that made each.
        legacy: Their places in the legacy layout.
        layers: Live layers, parents before children; the model itself first if it has weights of its own.
        layer_paths: Their paths, told apart.
        layer_addresses: Their addresses.
        parents: The layer that holds each.
        shared_names: Names of several top-level layers each, which the legacy layout cannot hold.

    Raises:
        TargetError: The model is a SavedModel that is no Keras model.
    """

    def __init__(self, model: Any) -> None:
        if isinstance(model, Exported):
            raise TargetError("Keras's layers are looked at here, and a SavedModel does not tell them", fix=BUILD)
        self.model = model
        held = list(walk(model))
        own = _own_weights(model)
        counts = Counter(layer.name for layer in model.layers)
        self.shared_names = [name for name, count in counts.items() if count > 1]
        self.layers = [model] * bool(own) + [layer for layer, _ in held]
        self.parents = [model] * bool(own) + [parent for _, parent in held]
        self._order_variables(own)
        self._find_owners()
        self._name()

    def _order_variables(self, own: list[Any]) -> None:
        self.variables: list[Any] = []
        self.legacy: list[Legacy] = []
        index_of: dict[int, int] = {}
        groups = [(layer.name, layer.trainable_weights + layer.non_trainable_weights) for layer in self.model.layers]
        groups.append((OWN_WEIGHTS, own))
        for group, weights in groups:
            names = naming.told_apart(legacy_name(weight) for weight in weights)
            possible = group not in self.shared_names
            for index, (weight, name) in enumerate(zip(weights, names, strict=True)):
                if id(weight) not in index_of:
                    index_of[id(weight)] = len(self.variables)
                    self.variables.append(weight)
                    self.legacy.append(Legacy((group, name) if possible else None))
                elif possible:
                    self.legacy[index_of[id(weight)]].copies.append(LegacyPlace(group, name, index))
        rest = [weight for weight in self.model.weights if id(weight) not in index_of]
        self.variables += rest
        self.legacy += [Legacy() for _ in rest]

    def _find_owners(self) -> None:
        owner_of: dict[int, int] = {}
        for index, layer in enumerate(self.layers):
            for weight in _own_weights(layer):
                owner_of.setdefault(id(weight), index)
        self.owners = [owner_of[id(variable)] for variable in self.variables]

    def _name(self) -> None:
        prefix = "" if kind_of(self.model) == "functional" else f"{self.model.name}/"
        given = [_is_named_by_its_holder(*both) for both in zip(self.layers, self.parents, strict=True)]
        layer_ranks = naming.ranks(
            (layer.name, type(layer).__name__) for layer, fixed in zip(self.layers, given, strict=True) if not fixed
        )
        variable_ranks = naming.ranks(
            (path_of(variable).rsplit("/", 1)[-1], type(variable).__name__) for variable in self.variables
        )

        def ranks_for(owner: int) -> dict[str, str]:
            """A name that a holder gives can also be an automatic one elsewhere in the model."""
            own = self.layers[owner].name
            return {name: rank for name, rank in layer_ranks.items() if name != own} if given[owner] else layer_ranks

        layer_paths = self._layer_paths(prefix)
        self.layer_addresses = [naming.address(path, ranks_for(index)) for index, path in enumerate(layer_paths)]
        self.layer_paths = naming.told_apart(layer_paths)
        paths = [path_of(variable).removeprefix(prefix) for variable in self.variables]
        self.paths = naming.told_apart(paths)
        self.addresses = naming.told_apart(
            naming.address(self._scoped(path, owner), ranks_for(owner), variable_ranks)
            for path, owner in zip(paths, self.owners, strict=True)
        )

    def _scoped(self, path: str, owner: int) -> str:
        """``path``, or the layer's path and it, where a layer made a variable before it had a path itself."""
        scope = self.layer_paths[owner]
        return f"{scope}/{path}" if "/" not in path and scope else path

    def _layer_paths(self, prefix: str) -> list[str]:
        """Keras's own, or for a layer that has none (nothing to build) the place where its weights would be."""
        scope_of = {id(self.model): ""}
        paths = []
        for layer, parent in zip(self.layers, self.parents, strict=True):
            if layer is self.model:
                path = ""
            elif getattr(layer, "path", None) is not None:
                path = layer.path.removeprefix(prefix)
            else:
                path = scope_of[id(parent)] + layer.name
            graph = is_model(layer) and kind_of(layer) == "functional"
            scope_of[id(layer)] = "" if graph or not path else f"{path}/"
            paths.append(path)
        return paths

    def top_level_names(self) -> tuple[str, ...]:
        """The layers that the legacy layout lists, the weightless included."""
        return tuple(layer.name for layer in self.model.layers)


def _is_named_by_its_holder(layer: Any, holder: Any) -> bool:
    """Whether a layer's automatic-looking name is none: LSTM, GRU ... of Keras 3 name their cell after its class."""
    family = family_of(layer)
    own = family.endswith("Cell") and family_of(holder).startswith(family.removesuffix("Cell"))
    return own and not is_keras2(layer) and getattr(holder, "cell", None) is layer


def _own_weights(layer: Any) -> list[Any]:
    """The weights that ``layer`` holds itself, in no sublayer."""
    below = {id(weight) for sub in sublayers(layer) for weight in sub.weights}
    return [weight for weight in layer.weights if id(weight) not in below]
