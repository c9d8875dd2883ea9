"""The frameworks that weights can be moved to: data first, no framework imported."""
