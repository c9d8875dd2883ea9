"""Source files in Python: read and parsed, found by the names they are imported by, never run."""
