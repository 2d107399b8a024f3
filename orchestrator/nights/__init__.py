"""A sweep with a clock, a memory and an opinion: measured nights, their history, the gate, champions, notifications."""
