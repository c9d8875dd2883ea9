"""The fifth stage: the layout of each leaf, where its shape fits several."""
