"""The audit alone: settings of every mapped pair, and nothing runs."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import Any

from remap.arguments import CheckpointLike, Rules
from remap.planning.plan import Plan
from remap.proving.audit import audit
from remap.proving.options import VerifyOptions
from remap.proving.planned import opened_for, planned
from remap.proving.prepare import epsilons_of, modules_for, title_of
from remap.proving.verified import Verified
from remap.sides.keras.sizes import built_sizes
from remap.sides.keras.spec import ModelSource


def static_audit(
    rules: Rules | Plan, checkpoint: CheckpointLike, model: ModelSource, torch: Any, options: VerifyOptions
) -> Verified:
    """Compare the settings of every mapped pair, and run nothing.

    Args:
        rules: See :func:`remap.verify`; or a plan that is made already and knows its target.
        checkpoint: See :func:`remap.verify`.
        model: Builds the Keras model.
        torch: See :func:`remap.verify`.
        options: What is asked for.

    Returns:
        A result whose verdict is ``audited``: settings that disagree, nothing else.
    """
    started = time.perf_counter()
    if isinstance(rules, Plan):
        plan = rules
        modules = modules_for(torch, options.torch_args, plan.checkpoint, plan.rules.source.strip)
    else:
        file, source, recognised = opened_for(rules, checkpoint, model)
        modules = modules_for(torch, options.torch_args, source, file.source.strip)
        made = planned(file, source, model, None, options, epsilons=epsilons_of(modules))
        plan = replace(made, recognised=recognised)
    told = audit(plan, modules, partial(built_sizes, model))
    return Verified(plan, title_of(torch), model.spec, audit=told, seconds=time.perf_counter() - started)
