"""The built-in operations; importing this module registers all of them behind the door `operation`."""

from metier.prepare.boilerplate import boilerplate
from metier.prepare.chunk import chunk
from metier.prepare.comprehend import comprehend
from metier.prepare.conflicts import conflicts
from metier.prepare.correct import correct
from metier.prepare.decontaminate import decontaminate
from metier.prepare.dedup import find_duplicates
from metier.prepare.deidentify.operation import deidentify
from metier.prepare.derived import derived_from_test
from metier.prepare.fold import fold_duplicates
from metier.prepare.labels import labels
from metier.prepare.language import language
from metier.prepare.leaks import leaks
from metier.prepare.mix import mix
from metier.prepare.normalize import normalize
from metier.prepare.official import official
from metier.prepare.quality import quality
from metier.prepare.select import select
from metier.prepare.split import split
from metier.prepare.synthesize import synthesize
from metier.prepare.tasks import examples

__all__ = ["boilerplate", "chunk", "comprehend", "conflicts", "correct", "decontaminate", "deidentify",
           "derived_from_test", "examples", "find_duplicates", "fold_duplicates", "labels", "language", "leaks", "mix",
           "normalize", "official", "quality", "select", "split", "synthesize"]  # fmt: skip
