"""The Merkle tree of RFC 9162 (2.1): a root over many leaves, and for each leaf a short path that proves it is there.

A node without a neighbour moves up a level as it is, which gives the tree that the RFC defines by splitting.
"""

from collections.abc import Sequence
from hashlib import sha256

LEAF, NODE = b"\0", b"\1"


def root(leaves: Sequence[bytes]) -> bytes:
    """Return the root over these leaves, in their order."""
    level = _hashes(leaves)
    while len(level) > 1:
        level = _above(level)
    return level[0] if level else sha256(b"").digest()


def path(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the neighbours on the way from the leaf at `index` up to the root."""
    level, neighbours = _hashes(leaves), []
    while len(level) > 1:
        if (beside := index ^ 1) < len(level):
            neighbours.append(level[beside])
        level, index = _above(level), index // 2
    return neighbours


def _hashes(leaves: Sequence[bytes]) -> list[bytes]:
    return [sha256(LEAF + leaf).digest() for leaf in leaves]


def _above(level: Sequence[bytes]) -> list[bytes]:
    pairs = zip(level[::2], level[1::2], strict=False)
    nodes = [sha256(NODE + left + right).digest() for left, right in pairs]
    return [*nodes, level[-1]] if len(level) % 2 else nodes
