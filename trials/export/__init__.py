"""What a trial leaves: adapter files, and the answers that they give."""
