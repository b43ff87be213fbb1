"""Accuracy, operation counts, sparsity and energy."""
