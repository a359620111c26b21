"""JSON Schemas (2020-12) of what is written and sent."""
