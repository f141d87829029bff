_Buffer = memoryview | bytearray

def weighted_sum(
    dtype: str,
    buffers: tuple[_Buffer, ...],
    weights: tuple[float, ...],
    out: _Buffer,
    base: _Buffer | None = None,
    level: int = 2,
) -> bool: ...
