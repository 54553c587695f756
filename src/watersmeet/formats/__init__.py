"""How chunks, manifests, epochs and the rows of tables are written, whichever store keeps them; shared by adapters."""
