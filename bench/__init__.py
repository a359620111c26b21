"""Measurements of the product against other tools, one command each (README.md)."""
