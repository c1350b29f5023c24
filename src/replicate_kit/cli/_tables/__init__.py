"""Tables in files: read, filled into inputs, and written with results."""
