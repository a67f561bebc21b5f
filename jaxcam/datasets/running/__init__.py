"""A run: its plan, the compiled program, reading ahead, the loop over batches, and its log."""
