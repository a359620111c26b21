"""What happens in the archive, as it happens: one watcher finds the changes, every listener is told them."""
