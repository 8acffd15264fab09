"""What several causes compute with: windows, normalisations, activations, attention, gates, interpolation, kernels."""
