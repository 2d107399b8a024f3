"""Checkpoints and a copy of everything else in a storage named by a URI, so that another machine goes on."""
