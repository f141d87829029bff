"""Models of different vocabularies under one tokenizer: every embedding gets the rows of the output's tokens."""
