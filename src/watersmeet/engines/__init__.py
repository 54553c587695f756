"""What computes: a pure function of columns, for the embedded process and for a fleet alike."""
