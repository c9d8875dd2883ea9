"""Write the port of a model: a class to a class, in the target's own layers."""
