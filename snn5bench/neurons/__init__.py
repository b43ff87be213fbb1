"""Neuron models on whole sequences `[T, B, N]`, with compiled kernels and a plain torch oracle."""
