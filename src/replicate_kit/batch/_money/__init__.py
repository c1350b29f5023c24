"""What predictions cost: numbers, prices and budgets."""
