"""Both frameworks, imported in an order in which they live together."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import torch
import torchvision  # noqa: F401  before tensorflow, whose later arrival crashes it otherwise

torch.manual_seed(0)
