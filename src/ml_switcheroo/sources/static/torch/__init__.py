"""What torch means to the reader: its modules, its tensors, and what ``forward`` does with them."""
