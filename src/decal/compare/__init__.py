"""Scores to a verdict: which checkpoint to keep, and how sure that is.

`racing` says which cells to draw next, `contest` asks every measure again under thousands of resamples, `verdict` decides, `telling` says
it in words. Nothing here draws, loads a model or reads a file.
"""
