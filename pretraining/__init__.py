"""How the embedded backbone ``t5-nano`` and its two tasks were made, from Debian's package lists to weights."""
