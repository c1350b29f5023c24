"""How work is run: on the caller's thread, in an event loop, once for all who ask. It knows nothing of what is run."""
