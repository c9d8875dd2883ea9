"""Read a program in Python and never run it: what its values, names, statements and calls come to."""
