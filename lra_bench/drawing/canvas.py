"""matplotlib by itself: no setting of a notebook, a desktop or a user enters a figure."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BACKEND = "MPLBACKEND"  # read when matplotlib is first imported, which fails on an unknown one


@contextmanager
def default_looks(changes: dict[Any, Any] | None = None) -> Iterator[None]:
    """Draw with matplotlib's own defaults and these changes of them (`rcParams`)."""
    asked_for = os.environ.pop(_BACKEND, None)
    try:
        import matplotlib as mpl
    finally:
        if asked_for is not None:
            os.environ[_BACKEND] = asked_for
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(changes or {})
        yield


def new_figure(**settings: Any) -> Figure:
    """A figure that is drawn to files: it has a canvas of pixels, and no window."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(**settings)
    FigureCanvasAgg(figure)
    return figure
