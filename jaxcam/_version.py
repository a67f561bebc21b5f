"""The release, in one place: the package, the build and what a run notes read it here."""

__version__ = "0.1.0"
