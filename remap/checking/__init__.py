"""Proof: what was written, read back by the framework itself and compared with the plan."""
