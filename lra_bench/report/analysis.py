"""All that is computed about a study, once, for every form of the report."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

from lra_bench.report.cost_by_length import Profile, profiles
from lra_bench.report.encoding_pairs import Pair, encoding_pairs
from lra_bench.report.grouping import Column, Setting, Study
from lra_bench.report.learning_curves import Curve, learning_curves
from lra_bench.report.plots import Plot, learning_curves_plot, quality_speed_plot
from lra_bench.report.published import SideBySide, side_by_side
from lra_bench.report.quality_speed import Plane, overall_plane, task_plane
from lra_bench.report.ranking import RankedMethod, rank_methods
from lra_bench.report.tables.accuracy import accuracy_table, ranking_table
from lra_bench.report.tables.cost import cost_tables
from lra_bench.report.tables.encoding_pairs import pair_table
from lra_bench.report.tables.provenance import (
    compatibility_table,
    data_table,
    environment_table,
    failure_table,
)
from lra_bench.report.tables.published import leaderboard_table, side_by_side_table
from lra_bench.report.tables.table import Table


class Part:
    """One setting with its statistics, each computed when it is first asked for."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting

    @cached_property
    def ranking(self) -> list[RankedMethod]:
        """All methods, best average first."""
        return rank_methods(self.setting)

    @cached_property
    def overall(self) -> Plane:
        """Methods by speed and quality over all tasks; no points where there is no mean."""
        return overall_plane(self.setting)

    @cached_property
    def planes(self) -> list[Plane]:
        """All planes with a point: over all tasks first, then each task's."""
        tasks = [task_plane(self.setting, column) for column in self.setting.columns]
        return [plane for plane in (self.overall, *tasks) if plane.points]

    @cached_property
    def quality_speed_plots(self) -> list[Plot]:
        """A plot of each plane."""
        return [quality_speed_plot(self.setting, plane) for plane in self.planes]

    @cached_property
    def pairs(self) -> dict[str, list[Pair]]:
        """Comparisons of encodings under each mixer."""
        return {name: encoding_pairs(self.setting, name) for name in self.setting.mixers}

    @cached_property
    def curves(self) -> dict[str, dict[Column, list[Curve]]]:
        """Learning curves of each mixer and column that has some."""
        return {
            mixer: {
                column: found
                for column in self.setting.columns
                if (found := learning_curves(self.setting, column, mixer))
            }
            for mixer in self.setting.mixers
        }

    def curve_plots(self, *mixers: str) -> list[Plot]:
        """Learning curves of these mixers, a plot for each column that has some."""
        plots = []
        for column in self.setting.columns:
            found = [c for name in mixers for c in self.curves[name].get(column, [])]
            if found:
                plots.append(learning_curves_plot(self.setting, column, found))
        return plots

    @cached_property
    def published(self) -> list[SideBySide]:
        """Published numbers beside measured ones."""
        return side_by_side(self.setting)

    @cached_property
    def accuracy_tables(self) -> list[Table]:
        """Encodings × tasks, one for each mixer."""
        return _filled(
            accuracy_table(self.setting, name, self.ranking) for name in self.setting.mixers
        )

    @cached_property
    def ranking_table(self) -> Table:
        """All methods."""
        return ranking_table(self.setting, self.ranking, self.overall.points)

    @cached_property
    def pair_tables(self) -> list[Table]:
        """Comparisons, one for each mixer."""
        return _filled(pair_table(self.setting, name, pairs) for name, pairs in self.pairs.items())

    @cached_property
    def published_table(self) -> Table:
        """Measured beside published."""
        return side_by_side_table(self.setting, self.published)

    @cached_property
    def compatibility_table(self) -> Table:
        """Encodings × mixers."""
        return compatibility_table(self.setting)

    @cached_property
    def failure_table(self) -> Table:
        """Cells without a result."""
        return failure_table(self.setting)

    @cached_property
    def data_table(self) -> Table:
        """What it was trained on."""
        return data_table(self.setting)

    @property
    def tables(self) -> list[Table]:
        """All tables with a row."""
        return _filled(
            [
                *self.accuracy_tables,
                self.ranking_table,
                *self.pair_tables,
                self.published_table,
                self.compatibility_table,
                self.failure_table,
                self.data_table,
            ]
        )


class Analysis:
    """A study, its parts and its profiles."""

    def __init__(self, study: Study) -> None:
        self.study = study
        self.parts = [Part(setting) for setting in study.settings]

    @cached_property
    def profiles(self) -> list[Profile]:
        """Cost curves over lengths."""
        return profiles(self.study.profiles)

    @cached_property
    def cost_tables(self) -> dict[int, list[Table]]:
        """Speed, memory and scaling of each profile, by its place."""
        return {at: cost_tables(profile) for at, profile in enumerate(self.profiles)}

    @cached_property
    def leaderboard_table(self) -> Table:
        """The LRA paper's own table."""
        return leaderboard_table()

    @cached_property
    def environment_table(self) -> Table:
        """Where the records were made."""
        return environment_table([*self.study.records, *self.study.profiles])

    @property
    def shared_tables(self) -> list[Table]:
        """Tables that belong to no setting."""
        costs = [table for tables in self.cost_tables.values() for table in tables]
        return _filled([*costs, self.leaderboard_table, self.environment_table])

    @property
    def tables(self) -> list[Table]:
        """All tables."""
        return [table for part in self.parts for table in part.tables] + self.shared_tables


def _filled(tables: Iterable[Table]) -> list[Table]:
    return [table for table in tables if table.rows]
