"""What was run on what, where, and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lra_bench import readable
from lra_bench.report.grouping import Entry, Setting
from lra_bench.report.tables.table import Cell, Table, label
from lra_bench.results.record import Record


def data_table(setting: Setting) -> Table:
    """What each column was trained and tested on."""
    rows = []
    for column in setting.columns:
        data = next(iter(setting.data(column)), None)
        if data is None:
            continue
        rows.append(
            [
                label(column.title),
                label(data.dataset),
                label("SYNTHETIC" if data.synthetic else f"real ({data.source})"),
                Cell(f"{data.train:,}", value=data.train),
                Cell(f"{data.validation:,}", value=data.validation),
                Cell(f"{data.test:,}", value=data.test),
                Cell(f"{data.test_mean_length:,.0f}", value=data.test_mean_length),
                label(data.fingerprint.removeprefix("sha256:")[:12]),
            ]
        )
    return Table(
        f"data-{setting.slug}",
        f"Data, {setting.title}",
        ["Task", "Dataset", "Kind", "Train", "Validation", "Test", "Mean length", "Fingerprint"],
        rows,
        [
            f"Warning: {column.title}: {readable.one_line(warning)}."
            for column in setting.columns
            for warning in setting.data_warnings(column)
        ],
    )


def compatibility_table(setting: Setting) -> Table:
    """Encodings × mixers: which pairs ran, which are invalid, and why."""
    rows = []
    for encoding in setting.encodings:
        row = [label(encoding)]
        for mixer in setting.mixers:
            row.append(_compatibility_cell(setting.row(mixer, encoding)))
        rows.append(row)
    reasons = {
        f"{entry.encoding} with {entry.mixer}: {readable.one_line(entry.invalid)}."
        for entry in setting.entries.values()
        if entry.invalid is not None
    }
    return Table(
        f"compatibility-{setting.slug}",
        f"Which mixer carries which encoding, {setting.title}",
        ["Encoding", *map(readable.one_line, setting.mixers)],
        rows,
        sorted(reasons),
    )


def _compatibility_cell(row: Sequence[Entry]) -> Cell:
    invalid = next((entry.invalid for entry in row if entry.invalid is not None), None)
    if invalid is not None:
        return Cell("invalid", detail=invalid, hole="invalid")
    done = sum(len(entry.runs) for entry in row)
    failed = sum(len(entry.failures) for entry in row)
    missing = sum(len(entry.missing) for entry in row)
    if not done + failed + missing:
        return Cell("—", detail="not in the plan", hole="missing")
    told = [f"{done} done"]
    told += [f"{failed} failed"] if failed else []
    told += [f"{missing} to run"] if missing else []
    return Cell(", ".join(told), value=done, hole="" if done else "missing")


def failure_table(setting: Setting) -> Table:
    """Every cell that ended without an accuracy."""
    rows = [
        [
            label(entry.column.title),
            label(entry.mixer),
            label(entry.encoding),
            Cell(str(record.identity.seed), value=record.identity.seed),
            label(record.status.replace("_", " ")),
            label(readable.shorten(record.reason or "no reason given", 200)),
        ]
        for entry in setting.entries.values()
        for record in entry.failures
    ]
    return Table(
        f"failures-{setting.slug}",
        f"Cells without a result, {setting.title}",
        ["Task", "Mixer", "Encoding", "Seed", "Status", "Reason"],
        rows,
    )


def environment_table(records: Sequence[Record]) -> Table:
    """Where the records were made."""
    counts = Counter(r.environment for r in records if r.environment is not None)
    rows = [
        [
            label(where.device),
            label(where.platform),
            Cell(str(where.threads), value=where.threads),
            label(where.precision + (", compiled" if where.compiled else "")),
            label(f"lra-bench {where.lra_bench}, torch {where.torch}, Python {where.python}"),
            label((where.commit or "unknown")[:12]),
            Cell(f"{count:,}", value=count),
        ]
        for where, count in counts.most_common(20)
    ]
    more = len(counts) - len(rows)
    return Table(
        "environment",
        "Environment",
        ["Device", "Platform", "Threads", "Precision", "Versions", "Commit", "Records"],
        rows,
        [f"… and {more} more environments."] if more > 0 else [],
    )
