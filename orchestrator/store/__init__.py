"""Where a search lives, on disk or in a storage: what lies where, who may write there, how it outlives kills."""
