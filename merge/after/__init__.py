"""What follows averaging: statistics of activations that are measured again on data, and folded into a checkpoint."""
