"""Coremltools as Anemone's judge: what the scripts beside this package share."""
