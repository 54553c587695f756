"""One folder a technology; only ``runtime.wiring`` imports them."""
