"""Everything that writes into the recordings and state folders."""
