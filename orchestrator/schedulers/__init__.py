"""Which trials go on and which are stopped early: decided without Ray, kept in the journal."""
