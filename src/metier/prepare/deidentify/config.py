"""What the recipe's `prepare.deidentify` section may say."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from metier.config import Section, execution
from metier.errors import nearest
from metier.prepare.deidentify.kinds import KINDS
from metier.prepare.files import names_file, names_place

Policy = Literal["mask", "placeholder", "surrogate", "keep"]
PLACES = ("title", "source", "metadata", "group")  # where else than in the text a name may stand


class NamesConfig(Section):
    """Where names come from besides titles and labels such as `Dr`, `Patient:`, 患者 or 联系人：."""

    context: bool = True
    """Titles, labels and salutations, and known first names or surnames beside a capitalised word."""
    repeat: bool = True
    """A name found once is found everywhere else in the same document, and in the documents of the same group."""
    dictionary: str = names_file("")
    """Text file with one person or identifier a line, or a CSV file: every cell of its columns `name` and `id` (姓名,
    编号) is looked for in every document, in the variants that a name is written in."""
    columns: tuple[str, ...] = ()
    """Metadata fields of a document that name its own people or numbers (such as patient_name): looked for in its
    text."""
    model: str = ""
    """Run or model folder of a tagger that was trained with the task `tag`; its labels that name people count as
    `person`, places as `address`, organisations as `organisation`."""
    presidio: bool = False
    """Ask Presidio's pattern recognisers as well (needs the extra `presidio`; no model is downloaded)."""


class RequireConfig(Section):
    """What a person must have found before anything is trained."""

    max_residual: float | None = execution(None, gt=0, lt=1)
    """Highest tolerated upper bound for the share of documents that still hold an identifier. null: no audit is
    asked."""
    audit: str = names_place("")
    """audit.json, as `metier deidentify audit --answers FILE` writes it; relative to the recipe's folder."""
    confidence: float = execution(0.95, gt=0.5, lt=1)
    """Confidence that the audit must have been computed with, or a higher one."""


class DeidentifyConfig(Section):
    """Find what points to a person, and replace it. Off unless a policy is named."""

    policy: Literal["off", "mask", "placeholder", "surrogate", "keep"] = "off"
    """`mask`: ***; `placeholder`: [PHONE] or 【电话】; `surrogate`: a made-up value of the same shape, the same one for
    the same original, made with a secret key; `keep`: only count what is found."""
    policies: dict[str, Policy] = Field(default={})
    """Another policy for some kinds, such as `{date: keep, person: surrogate}`."""
    ages_from: int = Field(default=90, ge=0, le=150)
    """Ages in years from which an age is an identifier. Source of the default: HIPAA Safe Harbor (ages over 89)."""
    day_first: bool = False
    """Read 3/4/2024 as 3 April (Europe) and not as March 4 (United States); only shifted dates depend on it."""
    organisations: bool = False
    """Also replace organisations: names that end as companies, hospitals and schools do."""
    names: NamesConfig = NamesConfig()
    places: dict[str, Literal["scan", "hash", "keep", "drop"]] = Field(default={})
    """What to do with the other columns. Defaults: `title: scan`, `source: scan` (file names), `metadata: scan` (every
    text in it but label, value and split), `group: keep`. `hash` needs a key; `drop` leaves the column empty."""
    shown: tuple[str, ...] = ()
    """Kinds whose original may stand in the list of changes; of all others only place, kind and replacement are
    kept."""
    key_file: str = names_file("")
    """File whose bytes are the secret key for surrogates and hashes (at least 16). Never copied into the store; its
    hash is part of the identity of what is made with it."""
    key_variable: str = execution("METIER_DEIDENTIFY_KEY")
    """Environment variable that holds the key, if there is no file."""
    vault: str = names_place("")
    """Folder, outside the store, for a list of what each replacement stands for (files with mode 0600); relative to
    the recipe's folder. "": none is kept, and nothing can be undone."""
    require: RequireConfig = RequireConfig()
    """Fail unless an audit of just this output shows few enough leftovers."""

    @field_validator("policies", "shown")
    @classmethod
    def _known_kinds(cls, value: Any) -> Any:
        for name in value:
            if name not in KINDS:
                raise ValueError(f"there is no kind of identifier called '{name}'; {nearest(name, KINDS)}")
        return value

    @model_validator(mode="after")
    def _known_places(self) -> DeidentifyConfig:
        for name, way in self.places.items():
            if name not in PLACES:
                raise ValueError(f"there is no column called '{name}' to treat; {nearest(name, PLACES)}")
            if name == "group" and way in ("scan", "drop"):
                raise ValueError("group can be kept or hashed: the split needs to tell groups apart")
            if name == "metadata" and way == "hash":
                raise ValueError("metadata can be scanned, kept or dropped")
        return self

    def policy_of(self, kind: str) -> str:
        """mask, placeholder, surrogate or keep."""
        return self.policies.get(kind, self.policy)

    def place(self, name: str) -> str:
        """What becomes of a column: scan, hash, keep or drop."""
        return self.places.get(name, "keep" if name == "group" else "scan")

    def needs_key(self) -> bool:
        """Whether anything in here cannot be done without a secret."""
        if self.policy == "off":
            return False
        return "surrogate" in {self.policy, *self.policies.values()} or "hash" in self.places.values()

    def identity(self) -> dict[str, Any]:
        """The fields that bear meaning; of a key only a fingerprint, and of a model what it is rather than where."""
        content = super().identity()
        if self.policy == "off":
            return content
        if self.needs_key() and not self.key_file:
            from metier.prepare.deidentify.replace.key import fingerprint, load

            content["key"] = fingerprint(load(self))
        if self.names.model:
            from metier.prepare.deidentify.tagger import identity

            content["names"]["model"] = identity(self.names.model)
        return content
