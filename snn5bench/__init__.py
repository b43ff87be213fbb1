"""A benchmark and reproducibility harness for spiking neural networks."""
