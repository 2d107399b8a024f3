"""When a night begins, and the lines, units and files that make the clocks of a machine or a cluster begin it."""
