"""Which leaf of a template a path means."""
