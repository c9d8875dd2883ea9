"""How each framework makes its layers: one file a framework, tables alone."""
