"""One search from its check to its table: run, resume, conclude, verify, reuse, detach."""
