"""Datasets, one module per family, and the packed store that all of them share."""
