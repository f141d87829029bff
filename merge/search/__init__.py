"""Finding weights with held-out data: greedy and learned soups, and the search over options of a recipe.

Each of them ends in recorded weights or options, so that what is written is an ordinary merge that can be verified.
"""
