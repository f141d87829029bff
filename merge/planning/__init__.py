"""From a recipe and headers to rows: names, tensor rules, depth, options, output files."""
