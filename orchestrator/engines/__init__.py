"""The processes that train: one a device, each with one backbone and many trials; and the hosts they are on."""
