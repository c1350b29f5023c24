"""Creates with an unknown outcome, called unresolved: told apart from other predictions that the API shows."""
