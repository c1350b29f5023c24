"""What predictions and trainings have in common: their creation, their life, their events."""
