"""Every speed or quality claim of the README and of docs/measurements.md, as a command that measures it."""
