"""What a search has measured and decided: its record and journal, how both are read, and what may not stand in them."""
