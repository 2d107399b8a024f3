"""What stands between matrix products, as one kernel each, for accelerators: norms, softmax, activations, dropout."""
