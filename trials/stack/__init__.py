"""The stacked trainer: one update of many trials on one frozen backbone."""
