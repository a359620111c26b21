"""`isr-agent verify`: is everything that was recorded still what its sidecar says?

reader.py looks, judge.py, ledger.py and tiling.py decide; they are pure. Nothing here writes below a recordings folder.
"""
