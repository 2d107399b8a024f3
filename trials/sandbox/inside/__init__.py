"""Scripts that run in a sandbox, where this project is not.

They are handed over as text, joined, without what one imports of another (`trials.sandbox.base.source`), and import
nothing else but the standard library.
"""
