"""No positional encoding."""

from __future__ import annotations

from lra_bench.encodings.base import Encoding


class NoEncoding(Encoding):
    """No order at all: the model sees a bag of tokens."""

    relative = True
