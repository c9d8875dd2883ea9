"""The third stage: which units can belong together at all, and in which layouts."""
