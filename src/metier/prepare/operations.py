"""The built-in operations; importing this module registers all of them behind the door `operation`."""

from metier.prepare.conflicts import conflicts
from metier.prepare.decontaminate import decontaminate
from metier.prepare.dedup import find_duplicates
from metier.prepare.fold import fold_duplicates
from metier.prepare.labels import labels
from metier.prepare.language import language
from metier.prepare.leaks import leaks
from metier.prepare.mix import mix
from metier.prepare.normalize import normalize
from metier.prepare.official import official
from metier.prepare.split import split
from metier.prepare.tasks import examples

__all__ = [
    "conflicts", "decontaminate", "examples", "find_duplicates", "fold_duplicates", "labels", "language", "leaks",
    "mix", "normalize", "official", "split",
]  # fmt: skip
