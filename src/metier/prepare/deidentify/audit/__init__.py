"""Measuring what de-identification left: a sample for a person to read, and the bound that follows from the answers."""
