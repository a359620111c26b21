"""The recorder process of one box."""

__version__ = "0.1.0"
