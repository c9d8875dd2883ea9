"""The stages of a plan, in the order in which ``planning.drawing`` goes through them."""
