"""All that is computed about a study, once, for every form of the report."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from lra_bench.report.comparison import Pair, encoding_pairs
from lra_bench.report.curves import Curve, learning_curves
from lra_bench.report.entries import Column, Setting, Study
from lra_bench.report.standing import (
    Point,
    Standing,
    average_points,
    standings,
    task_points,
)
from lra_bench.report.tables import (
    Table,
    accuracy_table,
    data_table,
    pair_table,
    standing_table,
)


class Part:
    """One setting with its statistics, each computed when it is first asked for."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @cached_property
    def standings(self) -> list[Standing]:
        """All methods, best average first."""
        return standings(self.setting)

    @cached_property
    def average(self) -> list[Point]:
        """Methods on the plane of speed and mean accuracy; empty where there is no mean."""
        return average_points(self.setting)

    @cached_property
    def points(self) -> dict[Column, list[Point]]:
        """Methods on each column's plane of speed and accuracy."""
        return {column: task_points(self.setting, column) for column in self.setting.columns}

    @cached_property
    def pairs(self) -> dict[str, list[Pair]]:
        """Comparisons of encodings under each attention."""
        return {name: encoding_pairs(self.setting, name) for name in self.setting.attentions}

    @cached_property
    def curves(self) -> dict[str, dict[Column, list[Curve]]]:
        """Learning curves of each attention and column that has some."""
        return {
            attention: {
                column: found
                for column in self.setting.columns
                if (found := learning_curves(self.setting, column, attention))
            }
            for attention in self.setting.attentions
        }

    @cached_property
    def accuracy_tables(self) -> list[Table]:
        """Encodings × tasks, one for each attention."""
        return _filled(
            accuracy_table(self.setting, name, self.standings) for name in self.setting.attentions
        )

    @cached_property
    def standing_table(self) -> Table:
        """All methods."""
        return standing_table(self.setting, self.standings)

    @cached_property
    def pair_tables(self) -> list[Table]:
        """Comparisons, one for each attention."""
        return _filled(pair_table(self.setting, name, pairs) for name, pairs in self.pairs.items())

    @cached_property
    def data_table(self) -> Table:
        """What it was trained on."""
        return data_table(self.setting)

    @property
    def tables(self) -> list[Table]:
        """All tables with a row."""
        return _filled(
            [*self.accuracy_tables, self.standing_table, *self.pair_tables, self.data_table]
        )


def _filled(tables: Iterable[Table]) -> list[Table]:
    return [table for table in tables if table.rows]


class Analysis:
    """A study and its parts."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.parts = [Part(setting) for setting in study.settings]

    @property
    def tables(self) -> list[Table]:
        """All tables of all parts."""
        return [table for part in self.parts for table in part.tables]
