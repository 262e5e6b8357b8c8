"""The Python API, of which `lrladder/__init__.py` gives the names. docs/python.md shows each of them.

Like the commands, it joins `benchmark` and `reports`, and calls the functions that the commands call.
"""
