"""Where tensors come from and go to: resolve, read, write."""
