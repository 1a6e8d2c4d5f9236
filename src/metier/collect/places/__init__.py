"""Where documents come from: stores, databases, web sites, data sets; one file a place, all named in fetch.py."""
