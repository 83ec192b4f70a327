"""Reads what people say in public, and answers it where it was said: one file per platform.

`base` is the contract, `registry` finds the platforms, `python -m listeners` tries one from the command line.
"""
