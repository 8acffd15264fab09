"""Imports that have to come first: triton, then TensorFlow, or the process crashes."""

from remap.target.framework import prepare_process

prepare_process()
