"""Loads the built-in checks: importing a module registers it (see BUILTINS)."""

import importlib

from metier.evaluate.checks import BUILTINS

for _module in BUILTINS:
    importlib.import_module(_module)
