"""A search before it starts: what was asked for, resolved and checked as a whole, its cost. Nothing starts here."""
