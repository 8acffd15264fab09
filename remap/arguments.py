"""What callers may give, and what it stands for: paths or objects for rules, checkpoints and models."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remap.errors import UsageError
from remap.inventory.inventory import Inventory
from remap.opening.open import open_checkpoint
from remap.planning.settle import Initial
from remap.rules.load import load_rules
from remap.rules.rulefile import RuleFile
from remap.tensors.tensor import Checkpoint

if TYPE_CHECKING:
    from remap.sides.keras.spec import ModelSource

Rules = str | Path | RuleFile
"""Path, bare name of a shipped file, ``"auto"``, or a rule file that is read already."""

CheckpointLike = str | Path | Checkpoint | Mapping[str, Any]
"""Path, an open checkpoint, or a state_dict in memory."""

Model = Any
"""A spec (``"package.module:callable"``, ``"file.py:callable"``, ``"model.keras"``), a callable, or a live model."""


def opened(
    rules: Rules, checkpoint: CheckpointLike, target: Inventory | None = None, initial: Initial | None = None
) -> tuple[RuleFile, Checkpoint, tuple[str, ...]]:
    """Rules and checkpoint, and why these rules where they were to be found out; for a target where one is given."""
    if rules != "auto":
        file = rules if isinstance(rules, RuleFile) else load_rules(rules)
        return file, checkpoint_of(checkpoint, file), ()
    from remap.planning.recognise import choose

    best, why = choose(lambda file: checkpoint_of(checkpoint, file), target, initial)
    file = load_rules(best.name)
    return file, checkpoint_of(checkpoint, file), why


def checkpoint_of(checkpoint: CheckpointLike, file: RuleFile) -> Checkpoint:
    """The checkpoint, opened as the rule file's ``[source]`` says."""
    if isinstance(checkpoint, Checkpoint):
        return checkpoint
    if isinstance(checkpoint, Mapping):
        from remap.opening.memory import from_state_dict

        return from_state_dict(checkpoint, file.source.strip)
    return open_checkpoint(checkpoint, root=file.source.root, strip=file.source.strip)


def target_of(model: Model | None, target: str | Path | Inventory | None) -> tuple[Inventory | None, Initial | None]:
    """The target's inventory, and where initial values come from; both None where no target is known.

    Raises:
        UsageError: Both a model and a target are given.
    """
    if model is None:
        return (target if isinstance(target, Inventory) or target is None else Inventory.load(Path(target))), None
    if target is not None:
        raise UsageError("a model and a target are given", expected="one of them", fix="leave out --target")
    from remap.checking.model import initial_values
    from remap.sides.keras.keras_model import inventory_of

    source = model_source(model)
    inventory = inventory_of(source)
    return inventory, initial_values(source, inventory)


def model_source(model: Model) -> ModelSource:
    """A way to build the model, as often as needed; a live model stands for itself."""
    from remap.sides.keras.layers import is_model
    from remap.sides.keras.spec import ModelSource, load_model_builder

    if isinstance(model, ModelSource):
        return model
    if isinstance(model, str | Path):
        return load_model_builder(str(model))
    name = getattr(model, "__name__", None) or getattr(model, "name", None) or type(model).__name__
    if callable(model) and not hasattr(model, "variables"):
        return ModelSource(str(name), model)
    return ModelSource(str(name), lambda: model, live=is_model(model))
