"""The commands behind the figures of README and of docs/measurements.md."""
