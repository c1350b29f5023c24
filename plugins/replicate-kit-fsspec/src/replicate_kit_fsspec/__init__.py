"""Save the output files of predictions to folders and object stores with fsspec.

Nothing needs to be imported from here: replicate_kit finds the plugin by its entry point when `save_to=` is used.
"""

__tracebackhide__ = True  # replicate_kit leaves our frames out of the tracebacks of mistakes
