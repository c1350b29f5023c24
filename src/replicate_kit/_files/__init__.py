"""Files of inputs and outputs, on their way to a model and back. It knows nothing of predictions, nor where files are
kept.
"""
