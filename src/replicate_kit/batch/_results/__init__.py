"""Results: in order, saved, shown and counted."""
