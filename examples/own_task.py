"""A task of your own with your own files: a class, a tab and a text a line.

lra-bench data describe lines --data-dir mine --plugins examples/own_task.py
lra-bench run --tasks lines --set length=512 --data-dir mine --plugins examples/own_task.py
"""

from collections.abc import Iterator

import numpy as np

import lra_bench
from lra_bench.tasks import Examples, Layout, Request

NUMBERS = {b"ham": 0, b"spam": 1}


@lra_bench.register("lines")
class Lines(lra_bench.Task):
    """Is a line of text spam?"""

    name, title = "lines", "Lines"
    symbols, classes, length = 256, 2, 1024
    textual, class_names = True, ("ham", "spam")
    layouts = (Layout(folders=("lines", "."), names=("train.tsv", "test.tsv")),)
    obtain = "a line holds ham or spam, a tab and a text"

    def dataset(self, source: str, request: Request) -> str:
        """The data's name in records: other data, another name."""
        return "lines"

    def local(self, request: Request) -> Iterator[Examples]:
        """Each split's examples: bytes of all texts, their lengths, their classes."""
        for split, path in zip(("train", "test"), self.found(request).files, strict=True):
            rows = [line.partition(b"\t") for line in path.read_bytes().splitlines()]
            if bad := [n for n, (name, *_) in enumerate(rows, 1) if name not in NUMBERS]:
                raise lra_bench.InputError(f"{path}:{bad[0]}: a line begins with ham or spam")
            text = np.frombuffer(b"".join(text for *_, text in rows), np.uint8)
            lengths = np.array([len(text) for *_, text in rows])
            yield Examples(split, text, lengths, np.array([NUMBERS[name] for name, *_ in rows]))
