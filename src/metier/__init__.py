"""Metier turns a general language model into an industry's own, and proves whether that helped."""

__version__ = "0.1.0"
