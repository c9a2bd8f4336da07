"""Pure detectors: numbers and hours in, changes out. None reads a clock or draws entropy.

Normative text: spec/watch.md.
"""
