"""What formats ask of the frameworks to have a written file read back: a fresh model that loads it, or a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remap.planning.plan import Plan
from remap.sides.framework import import_module, prepare_process
from remap.sides.keras.keras_model import build_model, identify
from remap.sides.keras.live import is_keras2
from remap.sides.keras.saved_model import Exported
from remap.sides.keras.spec import ModelSource


@dataclass(frozen=True, slots=True)
class ModelRestorer:
    """Builds the user's model for every file that it is to load (:class:`remap.formats.format.Restorer`).

    Args:
        plan: What the file should hold; it must know its target.
        source: Builds the model.
    """

    plan: Plan
    source: ModelSource

    def load_weights(self, path: Path) -> Mapping[str, Any]:
        model = build_model(self.source)
        model.load_weights(str(path))
        return identify(model, self.plan.target)

    def restore(self, path: Path) -> Mapping[str, Any]:
        model = build_model(self.source)
        if is_keras2(model):
            model.load_weights(str(path))
        else:
            root = model.loaded if isinstance(model, Exported) else model
            # The root serves every model, and what an optimizer would miss is no matter of the file.
            import_module("tensorflow").train.Checkpoint(root).restore(str(path)).expect_partial()
        return identify(model, self.plan.target)

    def checkpoint_reader(self, path: Path) -> Any:
        prepare_process()
        return import_module("tensorflow").train.load_checkpoint(str(path))
