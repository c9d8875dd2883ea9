"""What ``forward`` takes each row of a projection for: followed with rows that carry their numbers."""
