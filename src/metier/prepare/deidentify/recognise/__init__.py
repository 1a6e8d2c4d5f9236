"""Finding identifiers in a text: tables of patterns with check digits, dates, addresses, and names by their context."""
