"""Ray Tune: the only room that imports it. Trials, schedulers and searchers as Tune sees them, and the cluster."""
