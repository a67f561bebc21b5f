"""The report of a store: one HTML page."""
