"""Private messaging and calling that keeps working on a hostile network."""

__version__ = "0.1.0"
