"""What is explained: a scalar score of the model's output."""
