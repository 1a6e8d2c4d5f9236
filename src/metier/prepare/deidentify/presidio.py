"""Presidio's pattern recognisers as a second opinion, without any model and without the network.

Purpose: who has recognisers of their own written for Presidio can go on using them. The analyser gets a blank spaCy
pipeline for each language, so nothing is downloaded; names need a model and come from elsewhere (`names`).
Trade-off: 50 to 100 times slower than our own rules. Its e-mail rule takes Chinese words before an address along, so a
finding of ours in the same place wins.
Not covered: Presidio's own anonymiser; policies are ours.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

from metier.errors import need
from metier.prepare.deidentify.recognise.rule import WEAK, Span

# Presidio's type -> our kind; others are left out.
KINDS = {
    "PERSON": "person",
    "PHONE_NUMBER": "phone",
    "EMAIL_ADDRESS": "email",
    "URL": "url",
    "IP_ADDRESS": "ip",
    "LOCATION": "address",
    "MAC_ADDRESS": "mac",
    "DATE_TIME": "date",
    "US_SSN": "national_id",
    "US_ITIN": "national_id",
    "UK_NHS": "national_id",
    "UK_NINO": "national_id",
    "US_PASSPORT": "passport",
    "US_DRIVER_LICENSE": "driving_licence",
    "CREDIT_CARD": "card",
    "IBAN_CODE": "iban",
    "US_BANK_NUMBER": "account",
    "CRYPTO": "wallet",
    "MEDICAL_LICENSE": "licence",
    "ES_NIF": "national_id",
    "ES_NIE": "national_id",
    "IT_FISCAL_CODE": "national_id",
    "PL_PESEL": "national_id",
    "ORGANIZATION": "organisation",
}
THRESHOLD = 0.4  # Presidio's patterns without context score 0.05 to 0.3 where they are no more than a guess


@cache
def analyzer(language: str, everything: bool = False) -> Any:
    """Presidio's analyser with its default recognisers on a blank pipeline. UserError if the extra is missing.

    everything: also those for e-mail and web addresses, whose library tries to fetch a list of domains.
    """
    presidio = need("presidio_analyzer", "presidio")
    engine = need("presidio_analyzer.nlp_engine", "presidio")
    spacy = need("spacy", "presidio")
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    logging.getLogger("tldextract").setLevel(logging.CRITICAL)  # it tells at length that it may not use the network

    blank = engine.SpacyNlpEngine(models=[{"lang_code": language, "model_name": f"blank:{language}"}])
    blank.nlp = {language: spacy.blank(language)}
    registry = presidio.RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language], nlp_engine=blank)
    for name in () if everything else ("EmailRecognizer", "UrlRecognizer"):
        registry.remove_recognizer(name)
    return presidio.AnalyzerEngine(nlp_engine=blank, registry=registry, supported_languages=[language])


def spans(text: str, language: str) -> list[Span]:
    """What Presidio finds, as weak findings: ours win where both are. language: "zh" or else English."""
    results = analyzer("zh" if language == "zh" else "en").analyze(
        text=text, language="zh" if language == "zh" else "en"
    )
    return [
        Span(item.start, item.end, KINDS[item.entity_type], "presidio", WEAK)
        for item in results
        if item.entity_type in KINDS and item.score >= THRESHOLD
    ]
