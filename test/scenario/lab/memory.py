"""What a process remembers: a search through all the memory that it may write to."""
import pathlib

PIECE = 1 << 20
LARGEST = 1 << 30  # of a mapping; sanitizers reserve some that are larger than any disk


def holds(pid, *needles):
    """Those of the needles that stand anywhere in the process' memory."""
    found = set()
    overlap = max(map(len, needles)) - 1
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for start, end in _mappings(pid):
            tail = b""
            for at in range(start, end, PIECE):
                piece = _read(memory, at, min(PIECE, end - at))
                found.update(n for n in needles if n not in found and n in tail + piece)
                tail = piece[-overlap:] if overlap else b""
    return found


def _mappings(pid):
    """Those that have something in them."""
    place = None
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        first, second = line.split()[:2]
        if "-" in first:
            start, end = (int(end, 16) for end in first.split("-"))
            place = (start, end) if second.startswith("rw") and end - start <= LARGEST else None
        elif first == "Rss:" and int(second) > 0 and place:
            yield place


def _read(memory, at, size):
    try:
        memory.seek(at)
        return memory.read(size)
    except OSError:
        return b""
