"""The first stage: what a path says, and which of its numbers count blocks."""
