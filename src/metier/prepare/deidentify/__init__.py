"""De-identification: find what points to a person, replace it by policy, and measure what is left."""
