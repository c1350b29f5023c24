"""Creates that were not answered: found again among what the API shows."""
