"""What a box gets before its first start: config.yaml, the users of the shipped broker, and ports that are free.

`scripts/run` calls `python -m agent.first_start` at every start. Files that are there stay as they are; only a port
that another program has taken is replaced, in its own place.
"""
