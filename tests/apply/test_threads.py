"""Tensors of one checkpoint are read by several threads at once."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

import remap
from remap.tensors.tensor import Tensor


def test_storages_are_found_right_when_threads_read_at_once(tmp_path):
    state = {f"t{i}": torch.full((7,), float(i)) for i in range(600)}
    torch.save(state, tmp_path / "many.pt")
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(3):
            checkpoint = remap.open_checkpoint(tmp_path / "many.pt")
            with ThreadPoolExecutor(8) as threads:
                arrays = [tensor.copy() for tensor in threads.map(Tensor.array, checkpoint.values())]
            assert all(np.array_equal(array, np.full(7, i, "f4")) for i, array in enumerate(arrays))
    finally:
        sys.setswitchinterval(interval)
