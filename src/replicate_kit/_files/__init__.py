"""Files of inputs and outputs, on their way to a model and back. It knows of predictions only that one
tells whether its files have expired, and not where files are kept.
"""
