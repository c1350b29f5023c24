"""What the service does: predictions are queued, run, ended, told and forgotten."""
