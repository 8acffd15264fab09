"""Every member of every family is planned from its real names and shapes, without memory for its weights."""

from __future__ import annotations

import pytest
from application_members import MEMBERS, VARIANTS, meta_checkpoint

import remap
from remap.inventory.shipped import shipped_inventory
from remap.planning.derived import leaves
from remap.planning.recognise import choose
from remap.rules.shipped import shipped_names
from remap.tensors.tensor import Checkpoint

pytestmark = pytest.mark.architectures


def source_epsilon(plan):
    """What the rule file says of PyTorch's BatchNorms."""
    said = plan.rules.batchnorm.source_epsilon
    return plan.params[said] if isinstance(said, str) else said


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_member_closes(member):
    checkpoint, epsilons = meta_checkpoint(member)
    inventory = shipped_inventory(member.spec)
    found = remap.plan(member.rules, checkpoint, target=inventory)
    assert [a.name for a in found.assignments] == [variable.path for variable in inventory.variables]
    assert [a.shape for a in found.assignments] == [variable.shape for variable in inventory.variables]
    assert len(found.assignments) == member.variables
    sources = {leaf.name for a in found.assignments for source in a.value.sources for leaf in leaves(source)}
    left = {ignored.name for ignored in found.ignored}
    assert set(checkpoint) == {name for name in sources if name in checkpoint} | left
    assert not sources & left
    assert {name.rpartition(".")[2] for name in left if "AuxLogits" not in name} <= {"num_batches_tracked"}
    if epsilons:
        assert epsilons == {source_epsilon(found)}
    assert not found.warnings
    assert member.spec in found.rules.about.models


@pytest.mark.parametrize("member", {member.rules: member for member in reversed(MEMBERS)}.values(), ids=str)
def test_headless_target_closes_from_both_checkpoints(member):
    from remap.sides.keras.keras_model import inventory_of

    # where sizes are open, Keras's NASNet compares None with None and takes two maps for equally large
    shape = {"input_shape": (331, 331, 3)} if member.rules == "nasnet" else {}
    inventory = inventory_of(lambda: member.keras(include_top=False, classifier_activation="softmax", **shape))
    whole, _ = meta_checkpoint(member)
    found = remap.plan(member.rules, whole, target=inventory)
    assert len(found.assignments) == len(inventory.variables)
    heads = {ignored.name: ignored.reason for ignored in found.ignored if "without its top" in ignored.reason}
    assert heads
    headless = Checkpoint(
        whole.path, whole.format, {name: tensor for name, tensor in whole.items() if name not in heads}
    )
    again = remap.plan(member.rules, headless, target=inventory)
    assert [a.sources for a in again.assignments] == [a.sources for a in found.assignments]


@pytest.mark.parametrize("member", MEMBERS, ids=str)
def test_member_is_recognised(member):
    checkpoint, _ = meta_checkpoint(member)
    best, _ = choose(lambda _: checkpoint)
    assert (best.name, best.model) == (member.rules, member.spec)


@pytest.mark.parametrize("member", VARIANTS, ids=str)
def test_variant_closes_and_is_recognised(member):
    from remap.sides.keras.keras_model import inventory_of

    checkpoint, epsilons = meta_checkpoint(member)
    inventory = inventory_of(member.keras)
    found = remap.plan(member.rules, checkpoint, target=inventory)
    assert [a.name for a in found.assignments] == [variable.path for variable in inventory.variables]
    assert len(found.assignments) == member.variables
    assert {ignored.name.rpartition(".")[2] for ignored in found.ignored} == {"num_batches_tracked"}
    assert epsilons == {source_epsilon(found)}
    best, lines = choose(lambda _: checkpoint, inventory)
    assert best.name == member.rules
    assert "to the last variable" in lines[0]


@pytest.mark.parametrize("member", [each for each in VARIANTS if each.rules == "mobilenet_v2_timm"], ids=str)
def test_a_width_that_no_shipped_inventory_has_is_recognised_by_names(member):
    checkpoint, _ = meta_checkpoint(member)
    best, _ = choose(lambda _: checkpoint)
    assert best.name == member.rules


def test_every_file_says_its_sizes():
    planned: dict[str, set[tuple[str, str]]] = {}
    for member in (*MEMBERS, *VARIANTS):
        planned.setdefault(member.rules, set()).add((member.target, str(member.options)))
    assert {name: len(remap.load_rules(name).about.sizes) for name in planned} == {
        name: len(found) for name, found in planned.items()
    }


def test_no_file_is_left_out():
    assert {member.rules for member in MEMBERS} == {name for name in shipped_names() if "/" not in name}
