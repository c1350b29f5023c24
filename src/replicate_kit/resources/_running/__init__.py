"""A model is run and its output taken: from a reference to what comes back, or to what was left behind."""
