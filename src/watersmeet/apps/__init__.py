"""Applications: declarations and the sources that feed them."""
