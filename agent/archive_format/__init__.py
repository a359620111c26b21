"""The recordings folder as both processes know it: names, sidecars, ledger, status. Nothing else knows its layout."""
