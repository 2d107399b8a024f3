"""Every speed or quality claim of the README, as a command that measures it."""
