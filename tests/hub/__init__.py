"""A stand-in of the Hugging Face hub, and a process that uses it as a user's does."""
