"""The kinds of benchmarks, one module each with ``read(section, folder, name)``, which returns a ``Benchmark``."""
