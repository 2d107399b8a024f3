"""One module a form: each takes the same tables and differs in escaping and in what it calls bold."""
