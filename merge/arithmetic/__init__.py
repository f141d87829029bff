"""Mathematics that several methods share, written against the array API."""
