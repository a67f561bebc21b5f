"""The version number, which the package, the build and the records of a run read here."""

__version__ = "0.1.0"
