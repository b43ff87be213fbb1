"""A benchmark and reproducibility harness for spiking neural networks."""

__version__ = "0.1.0"
