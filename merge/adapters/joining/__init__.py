"""Several adapters become one, without their base."""
