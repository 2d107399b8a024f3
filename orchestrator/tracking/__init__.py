"""The MLflow record of a search: told by the driver alone, through a spool that outlives it."""
