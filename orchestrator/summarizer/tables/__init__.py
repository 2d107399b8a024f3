"""Tables that every writer understands: of one search, of many, and in the layout of the paper."""
