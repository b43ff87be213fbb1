"""Checks that run over any registered method."""
