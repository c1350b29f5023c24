"""What is the user's own on this machine: folders, and the API tokens that were kept."""
