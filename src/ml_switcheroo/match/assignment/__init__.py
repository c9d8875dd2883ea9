"""The fourth stage: the best assignment of units to units, and how sure it is."""
