"""The last stage: the moves of what was matched."""
