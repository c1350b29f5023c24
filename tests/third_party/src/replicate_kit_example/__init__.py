"""What somebody else's plugin looks like, from the outside."""
