"""What each operation of torch on tensors computes, as primitives: rows, by what they work on."""
