"""How a plan is streamed: pieces, arithmetic on a backend, reductions, workers, journal."""
