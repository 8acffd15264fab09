"""Planning stays linear in keys and rules, and the benchmark's own figures are in reach."""

import time

import plan as benchmark
import pytest

from remap.errors import PlanError
from remap.planning.make import make_plan


def processor_seconds(rules, source, runs=3):
    """The best of several runs, in time of this process alone: other processes do not count."""
    best = float("inf")
    for _ in range(runs):
        started = time.process_time()
        made = make_plan(rules, source)
        best = min(best, time.process_time() - started)
        assert len(made.assignments) == len(source)
    return best


def test_four_times_the_keys_take_about_four_times_as_long(tmp_path):
    rules = benchmark.load(tmp_path)
    small = processor_seconds(rules, benchmark.checkpoint(5_000))
    large = processor_seconds(rules, benchmark.checkpoint(20_000))
    assert large < 8 * small


def test_four_times_the_rules_take_about_the_same_time(tmp_path):
    few = processor_seconds(benchmark.load(tmp_path, 30), benchmark.checkpoint(9_600, 30))
    many = processor_seconds(benchmark.load(tmp_path, 120), benchmark.checkpoint(9_600, 120))
    assert many < 3 * few


def test_names_are_filled_in(tmp_path):
    made = make_plan(benchmark.load(tmp_path), benchmark.checkpoint(1_200))
    names = {assignment.name for assignment in made.assignments}
    assert "branch0_stage1_block0_0_query/kernel" in names
    assert "branch2_stage1_block2_1_value/bias" in names


@pytest.mark.parametrize("unclaimed", [2_000, 8_000])
def test_names_that_nothing_claims_do_not_cost_more_each(tmp_path, unclaimed):
    source = benchmark.checkpoint(600)
    tensor = next(iter(source.values()))
    strangers = {f"other{'abcdefgh'[i % 8]}{'ijklmnop'[i // 8 % 8]}.{i}.w": tensor for i in range(unclaimed)}
    mixed = type(source)(source.path, source.format, {**source, **strangers})
    started = time.process_time()
    with pytest.raises(PlanError, match="no rule claims a source tensor"):
        make_plan(benchmark.load(tmp_path), mixed)
    assert time.process_time() - started < 4
