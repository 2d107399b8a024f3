"""Running programs that nobody has read: what a model writes for a programming task, and the tests of it.

A program is run by a fresh interpreter that sees the standard library, read-only, and nothing else of the machine: no
network, no other process, no file of anybody, no more memory, time and output than its limits. Bubblewrap does it where
it works, else Landlock and seccomp; trying says which (`trials.sandbox.find`). Where none works nothing runs.

The verdict on a program is found by a second interpreter, in a sandbox of its own, that holds the tests and asks the
first one for values (`trials.sandbox.inside`). So a program sees neither its tests nor the verdict: it can answer, or
fail to.
"""
