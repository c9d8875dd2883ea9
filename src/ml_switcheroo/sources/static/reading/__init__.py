"""Read a model: from its code, or a live one, to what each tensor of a checkpoint is."""
