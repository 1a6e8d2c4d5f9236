"""Putting something else in the place of what was found: a mask, a typed placeholder, or a keyed surrogate."""
