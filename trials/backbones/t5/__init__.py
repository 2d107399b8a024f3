"""T5 as written for stacks: its forward pass, with and without weight updates, and what is fused around it."""
