"""The journal: what was intended, created, finished and saved, and who has it."""
