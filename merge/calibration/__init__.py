"""A model over data ▸ statistics: what a method must learn from data, kept in a safetensors file of its own."""
