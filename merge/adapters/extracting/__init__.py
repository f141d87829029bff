"""What a tuned model has beyond its base, as an adapter: `merge extract-lora`."""
