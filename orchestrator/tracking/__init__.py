"""MLflow as a picture of a search's record: `sync` brings it there, one thread of the driver's calls it."""
