"""What the simulated service knows: models, versions, predictions, files; plain data with its clock."""
