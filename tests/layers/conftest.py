"""What every test of the layers starts from."""

import pytest
import torch


@pytest.fixture(autouse=True)
def _same_weights_every_time():
    """Vectors of power iterations come from torch's own generator."""
    torch.manual_seed(0)
