"""The MLflow record of a search: written by the driver alone, through a spool that outlives it."""
