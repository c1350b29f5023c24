"""Records: models, predictions and all else that is loaded under ids that somebody else chose."""
