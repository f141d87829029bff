"""What a merge will need, and how long it will take by what earlier merges on this machine measured."""
