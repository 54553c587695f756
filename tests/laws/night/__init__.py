"""One night of a campus: what arrives, how a node counts it, and what plain SQL says of the raw lines."""
