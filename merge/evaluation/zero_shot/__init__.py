"""Classification heads from class names: prompts, the text tower that embeds them, and how they are averaged."""
