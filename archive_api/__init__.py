"""The archive: an HTTP service and a page over the recordings folder, which it only reads."""
