"""What stands for each operation of torch in a port: one row an operation, held by a run against torch."""
