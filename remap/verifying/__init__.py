"""Proof in the user's own models: equal weights, equal outputs, and the first layer that differs."""
