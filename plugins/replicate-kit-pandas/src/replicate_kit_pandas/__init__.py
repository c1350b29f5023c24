"""Run a model over a pandas Series or DataFrame: the `replicate` accessor.

Nothing needs to be imported from here: `import replicate_kit` finds the accessor by its entry point, whichever of
pandas and replicate_kit is imported first.
"""
