"""Commands of `adept-search` beside `search`, one module each."""
