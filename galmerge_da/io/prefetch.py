"""Reading ahead: the next chunk is read in a thread while this one is worked on."""

from collections.abc import Generator, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

__all__ = ["prefetch"]

_Chunk = TypeVar("_Chunk")

_END: Any = object()


def prefetch(chunks: Iterable[_Chunk]) -> Generator[_Chunk, None, None]:
    """Yield chunks in their order; while one is worked on, a thread reads the next, and no more.

    Parameters
    ----------
    chunks : iterable
        Such as a `CutoutSource`. It is iterated over in one other thread, which
        ends with the iteration, also when that is closed or broken off.

    Yields
    ------
    object
        What ``chunks`` yields.

    Raises
    ------
    Exception
        What reading raises, after the chunks before it.

    Notes
    -----
    Three chunks are in memory at most. A generator that is kept in a variable
    should be closed with ``contextlib.closing``.
    """
    chunks = iter(chunks)
    with ThreadPoolExecutor(1, "galmerge-reader") as reader:
        coming = reader.submit(next, chunks, _END)
        while (chunk := coming.result()) is not _END:
            coming = reader.submit(next, chunks, _END)
            yield chunk
