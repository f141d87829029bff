def weighted_sum(
    dtype: str,
    buffers: tuple[memoryview | bytearray, ...],
    weights: tuple[float, ...],
    out: memoryview | bytearray,
    level: int = 2,
) -> bool: ...
