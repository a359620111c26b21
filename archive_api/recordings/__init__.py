"""The recordings folder as the archive sees it: safe paths, listing, live status, files and snapshots of open ones."""
