"""Public datasets from the Hugging Face hub, as tables."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any

from lra_bench.data.sources.tables import BATCH_ROWS, Table, chosen_columns
from lra_bench.errors import InputError


def table(
    task: str,
    repository: str,
    split: str,
    columns: Sequence[str],
    data_file: str | None = None,
) -> Table:
    """Fetch one split of a hub dataset (or find it in the library's own cache).

    Args:
        task: for messages.
        repository: such as `stanfordnlp/imdb`.
        split: the hub's name of it; `train` is also what it calls a lone file.
        columns: the ones wanted.
        data_file: a file of the repository, where it is not laid out as a dataset.

    Raises InputError in one line when the hub can't be reached or has no such data.
    """
    import datasets
    from huggingface_hub.utils import logging

    logging.set_verbosity_error()  # else every retry is a line
    print(f"fetching '{repository}' from the Hugging Face hub", file=sys.stderr, flush=True)
    try:
        loaded = datasets.load_dataset(repository, data_files=data_file, split=split)
    except Exception as error:  # the library raises errors of a dozen kinds for want of a network
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"task '{task}': can't get '{repository}' from the Hugging Face hub ({reason[:200]}); "
            f"use --data-dir with its files (docs/data.md) or --source synthetic"
        ) from None
    chosen_columns(f"'{repository}'", loaded.column_names, columns, {})

    def batches() -> Iterator[Any]:
        arrow = loaded.select_columns(list(columns)).with_format("arrow")
        for rows in arrow.iter(BATCH_ROWS):
            yield from rows.combine_chunks().to_batches()

    return Table([(f"{repository} ({data_file or split})", loaded.num_rows)], batches)
