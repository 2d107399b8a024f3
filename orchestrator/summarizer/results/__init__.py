"""What is known of searches: found, grouped, compared, tested."""
