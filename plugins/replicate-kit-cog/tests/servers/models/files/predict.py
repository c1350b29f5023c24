"""Gives a file back, in capitals, one at a time."""

import tempfile

from cog import BasePredictor, Path


class Predictor(BasePredictor):
    def predict(self, file: Path) -> Path:
        with open(str(file)) as given, tempfile.NamedTemporaryFile("w", suffix=".txt", delete=False) as made:
            made.write(given.read().upper())
        return Path(made.name)
