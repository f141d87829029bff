"""Models of text: networks with their tokenizers, windows over long texts, labelled texts, lm-evaluation-harness."""
