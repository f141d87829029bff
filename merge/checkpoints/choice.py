"""How a location says which of the weights in a file is meant."""

CHOICE = "#"  # between a file of torch.save and the name under which they lie in it
