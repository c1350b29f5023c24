"""What is the user's own on this machine: folders, locks on files, and the API tokens that were kept."""
