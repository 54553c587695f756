"""Films: what people say about them, how they are rated and which of them are talked about now."""
