"""What is the user's own on this machine: folders."""
