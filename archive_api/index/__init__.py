"""The index: what is in the recordings folder, in SQLite, so that lists of any length are quick.

It is a copy and can be thrown away. The folder is the truth, and sidecars before headers.
"""
