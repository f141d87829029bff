"""The kinds of benchmarks, one module each with ``read(section, folder, name)``: a ``Benchmark``, or several."""
