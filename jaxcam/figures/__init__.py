"""Figures of maps, for notebooks and papers."""
