"""Readers of raw data: exact, streaming, and clear about what is wrong where."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lra_bench.data.examples import Examples
from lra_bench.data.request import Request
from lra_bench.data.sources import acl_ocl, hub, lines, listops_tsv, pairs_tsv, pathfinder_release
from lra_bench.data.sources.images import decode, grey, image_format
from lra_bench.data.sources.layout import Found, ParquetTables, find
from lra_bench.data.sources.stream import first_examples
from lra_bench.data.sources.tables import (
    Part,
    class_labels,
    encoded_images,
    parquet,
    ragged_bytes,
    select,
)
from lra_bench.errors import InputError
from lra_bench.tasks import tasks
from lra_bench.tasks.retrieval import CITATIONS, PAPERS
from tests.replacing import replace


def encoded(pixels: np.ndarray, kind: str = "PNG") -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format=kind)
    return buffer.getvalue()


def all_good(examples: Iterable[Examples]) -> Iterator[Examples]:
    """Raises InputError at the first that can't be used."""
    for some in examples:
        if some.bad:
            raise InputError(some.bad[0])
        yield some


def joined(blocks: Iterable[Examples]) -> list[np.ndarray]:
    """Symbols, lengths and labels of all blocks."""
    parts = ((block.symbols, block.lengths, block.labels) for block in blocks)
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


# Lines


@settings(max_examples=60, deadline=None)
@given(
    text=st.lists(st.text("ab", max_size=8), min_size=1, max_size=12),
    chunk=st.integers(1, 20),
    header=st.booleans(),
    mark=st.booleans(),
    ends=st.booleans(),
)
def test_chunks_of_lines_are_the_file(tmp_path_factory, text, chunk, header, mark, ends):
    path = tmp_path_factory.mktemp("lines") / "file"
    content = "\n".join(text) + ("\n" if ends else "")
    path.write_text(("\ufeff" if mark else "") + content)
    whole = content.splitlines()
    skip = int(header and bool(whole))
    line = text[0].encode() if skip else None
    got: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        replace(patch, lines, lines.CHUNK_BYTES, chunk)
        for first, buffer in lines.whole_lines(path, line):
            assert first == skip + len(got) + 1
            assert buffer[-1] == ord("\n")
            got += buffer.tobytes().decode().splitlines()
    assert got == whole[skip:]


# ListOps TSV


def place(index: int) -> str:
    return f"file, row {index}"


def as_bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "file.tsv"
    path.write_bytes(as_bytes(content))
    return path


def test_listops_lines_are_read(tmp_path):
    path = written(
        tmp_path,
        "Source\tTarget\r\n( ( ( [MAX 2 ) 9 ) ] )\t9\r\n7\t7\n( ( [SM ( ( [MIN 4 ) ] ) ) ] )\t4",
    )
    symbols, lengths, labels = joined(listops_tsv.read(path, "train"))
    assert symbols.tolist() == [11, 2, 9, 14, 7, 13, 10, 4, 14, 14]
    assert lengths.tolist() == [4, 1, 5]
    assert labels.tolist() == [9, 7, 4]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("( ( [MAX 2 ) 19 ) ]\t9", "not a ListOps symbol"),
        ("[FIRST 2 3 ]\t2", "not a ListOps symbol"),
        ("[MA 2 3 ]\t2", "not a ListOps symbol"),
        ("[MAX 2 3\t3", "brackets don't match"),
        ("[MAX 2 3 ] ]\t3", "brackets don't match"),
        ("[MAX ]\t3", "brackets don't match"),
        ("1 2\t1", "not one expression"),
        ("\t1", "not one expression"),
        ("[MAX 2 3 ]", "expected a tab and one digit"),
        ("[MAX 2 3 ]\t", "expected a tab and one digit"),
        ("[MAX 2 3 ]\t12", "expected a tab and one digit"),
        ("[MAX 2 3 ]\t3\t4", "expected a tab and one digit"),
    ],
)
@pytest.mark.parametrize("chunk", [16, 1 << 20])
def test_a_malformed_listops_line_is_named(tmp_path, monkeypatch, line, problem, chunk):
    replace(monkeypatch, lines, lines.CHUNK_BYTES, chunk)
    path = written(tmp_path, f"Source\tTarget\n[MIN 1 2 ]\t1\n\n{line}\n[MIN 1 2 ]\t1\n")
    with pytest.raises(InputError, match=rf"file\.tsv:4: {problem}"):
        list(all_good(listops_tsv.read(path, "train")))


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=60) | st.text("[MINSAXED] ()\t\n0123456789", max_size=60))
def test_no_listops_file_crashes_the_parser(tmp_path_factory, content):
    path = written(tmp_path_factory.mktemp("tsv"), b"Source\tTarget\n" + as_bytes(content))
    try:
        parts = list(all_good(listops_tsv.read(path, "train")))
    except InputError as error:
        parts = []
        assert "file.tsv" in str(error)  # noqa: PT017
    for block in parts:
        assert len(block.symbols) == block.lengths.sum()
        assert len(block.lengths) == len(block.labels)
        assert (block.labels < 10).all()


# Pairs TSV

texts = st.binary(max_size=30) | st.text("\t\n\r'\"\\ xéb", max_size=20).map(str.encode)


@settings(max_examples=150, deadline=None)
@given(pairs=st.lists(st.tuples(st.booleans(), texts, texts), min_size=1, max_size=6))
def test_bytes_literals_are_decoded(tmp_path_factory, pairs):
    content = "".join(
        f"{float(label)}\tid{i}\tid\t{one!r}\t{two!r}\n"
        for i, (label, one, two) in enumerate(pairs)
    )
    path = written(tmp_path_factory.mktemp("tsv"), content)
    symbols, lengths, labels = joined(pairs_tsv.read(path, "train"))
    assert symbols.tobytes() == b"".join(one + two for _, one, two in pairs)
    assert lengths.tolist() == [len(text) for _, *both in pairs for text in both]
    assert labels.tolist() == [int(label) for label, *_ in pairs]


def test_texts_that_are_no_literals_are_taken_as_they_are(tmp_path):
    path = written(tmp_path, "1\ta\tb\tbook, b'\\x41'\tit's\r\n")
    symbols, lengths, labels = joined(pairs_tsv.read(path, "train"))
    assert symbols.tobytes() == b"book, b'\\x41'it's"
    assert lengths.tolist() == [13, 4]
    assert labels.tolist() == [1]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("2.0\ta\tb\tb'x'\tb'y'", "expected a label"),
        ("0.5\ta\tb\tx\ty", "expected a label"),
        ("label\ta\tb\tx\ty", "expected a label"),
        ("1.0\ta\tb\tb'x'", "expected 5 tab-separated fields"),
        ("1.0\ta\tb\tb'x'\tb'y'\tz", "expected 5 tab-separated fields"),
        ("1.0\ta", "expected 5 tab-separated fields"),
        ("1.0\ta\tb\tb'x\tb'y'", "not closed"),
        ("1.0\ta\tb\tb'x'y\tb'y'", "not closed"),
        ("1.0\ta\tb\tb'x'\tb\"y'", "not closed"),
        ("1.0\ta\tb\tb'\\xg0'\tb'y'", "broken escape"),
        ("""1.0\ta\tb\t"b'say ""hi""'"\tb'y'""", "CSV writer's quotes"),
        ("""1.0\ta\tb\tb'x'\t"b'y'\"""", "CSV writer's quotes"),
        ("""1.0\ta\tb\tb'x'\t"b""it's""\"""", "CSV writer's quotes"),
        ("""1.0\t"a"\t"b"\tb'x'\tb'y'""", "CSV writer's quotes"),
        (""""1.0"\ta\tb\tb'x'\tb'y'""", "CSV writer's quotes"),
        ("1.0\ta\tb\tb'x'\tB'y'", "all be bytes literals"),
        ("1.0\ta\tb\t b'x'\tb'y'", "all be bytes literals"),
        ("1.0\ta\tb\tbr'x'\tb'y'", "all be bytes literals"),
        ("1.0\ta\tb\tb'x'\t", "all be bytes literals"),
    ],
)
def test_a_malformed_pair_is_named(tmp_path, line, problem):
    path = written(tmp_path, f"1.0\ta\tb\tb'x'\tb'y'\n{line}\n")
    with pytest.raises(InputError, match=rf"file\.tsv:2: .*{problem}"):
        list(all_good(pairs_tsv.read(path, "train")))


def test_quotes_of_a_csv_writer_are_told_from_a_texts_own(tmp_path):
    own = ['"Great!"', '"Great" film', 'the "best"', '""', '"a" and "b"']
    rows = [f"1\ta\tb\t{one}\tplain\n" for one in own]
    symbols, _, labels = joined(pairs_tsv.read(written(tmp_path, "".join(rows)), "train"))
    assert symbols.tobytes() == "".join(one + "plain" for one in own).encode()
    assert len(labels) == 5
    buffer = io.StringIO()
    csv.writer(buffer, delimiter="\t").writerow([1, "a", "b", "plain", 'the "best"'])
    path = written(tmp_path, buffer.getvalue())
    with pytest.raises(InputError, match=r"file\.tsv:1: a field in a CSV writer's quotes"):
        list(all_good(pairs_tsv.read(path, "train")))


def test_a_literal_among_plain_texts_is_named_in_any_chunk(tmp_path, monkeypatch):
    replace(monkeypatch, lines, lines.CHUNK_BYTES, 8)
    path = written(tmp_path, "1\ta\tb\tx\ty\n\n1\ta\tb\tx\tb'y'\n")
    with pytest.raises(InputError, match=r"file\.tsv:3: texts must all be bytes literals"):
        list(all_good(pairs_tsv.read(path, "train")))


@settings(max_examples=200, deadline=None)
@given(content=st.text("01.\tb'\"\\x4\n\r", max_size=60))
def test_no_pairs_file_crashes_the_parser(tmp_path_factory, content):
    path = written(tmp_path_factory.mktemp("tsv"), content)
    try:
        parts = list(all_good(pairs_tsv.read(path, "train")))
    except InputError as error:
        parts = []
        assert "file.tsv" in str(error)  # noqa: PT017
    for block in parts:
        assert len(block.symbols) == block.lengths.sum()
        assert len(block.lengths) == 2 * len(block.labels)


@pytest.mark.parametrize(
    ("ids", "name"),
    [
        ("tt0111194_2\ttt0075290_5", "imdb-same-film"),
        ("P05-1001\tW06-3114", "aan"),
        ("1\t2", "aan-layout"),
    ],
)
def test_identifiers_name_the_pairs(tmp_path, ids, name):
    line = f"1.0\t{ids}\tb'x'\tb'y'\n"
    assert pairs_tsv.dataset([written(tmp_path, 3 * line)]) == name


def test_pairs_are_named_by_all_lines_of_all_files(tmp_path):
    aan = "1.0\tP05-1001\tW06-3114\tb'x'\tb'y'\n"
    other = "0.0\t17\tW06-3114\tb'x'\tb'y'\n"
    first, second = tmp_path / "first.tsv", tmp_path / "second.tsv"
    first.write_text(aan * 3)
    second.write_text(aan * 2 + other)
    assert pairs_tsv.dataset([first]) == "aan"
    assert pairs_tsv.dataset([first, second]) == "aan-layout"


def test_photographs_are_named_by_all_images(tmp_path):
    def table(file: str, *formats: str) -> None:
        images = [{"bytes": encoded(np.zeros((32, 32, 3), np.uint8), f)} for f in formats]
        pq.write_table(pa.table({"img": images, "label": [0] * len(images)}), folder / file)

    folder = tmp_path / "cifar10"
    folder.mkdir()
    task = tasks.create(tasks.parse("image"))
    table("train.parquet", "PNG", "PNG")
    table("test.parquet", "PNG")
    assert task.dataset("local", Request(data_dir=tmp_path)) == "cifar10"
    table("test.parquet", "PNG", "JPEG")
    assert task.dataset("local", Request(data_dir=tmp_path)) == "cifar10-jpeg"


def test_wanted_examples_come_whole():
    def block(symbols: int, lengths: list[int], labels: list[int]) -> Examples:
        ragged = np.arange(symbols, dtype=np.uint8), np.array(lengths)
        return Examples("train", *ragged, np.array(labels, np.uint8))

    parts = [block(10, [1, 2, 3, 4], [0, 1]), block(6, [1, 2, 2, 1], [1, 1])]
    blocks = list(first_examples(Path("file"), parts, Request(limit=3)))
    assert [block.labels.tolist() for block in blocks] == [[0, 1], [1]]
    assert blocks[1].symbols.tolist() == [0, 1, 2]
    assert blocks[1].lengths.tolist() == [1, 2]


# What the readers of text refuse

PAIR = "1.0\ta\tb\tb'x'\tb'y'"
READERS = {
    "listops": (listops_tsv.read, "Source\tTarget", "[MAX 2 9 ]\t9"),
    "pairs": (pairs_tsv.read, None, PAIR),
}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("blank", ["", "\n", "\r\n\r\n"])
@pytest.mark.parametrize("kind", READERS)
def test_a_file_without_examples_is_named(tmp_path, kind, blank, mark):
    read, header, _ = READERS[kind]
    contents = [mark + blank] if header is None else [mark, f"{mark}{header}\n{blank}"]
    for content in contents:
        path = written(tmp_path, content)
        with pytest.raises(InputError, match=r"file\.tsv: no examples in it"):
            list(first_examples(path, read(path, "train"), Request()))


@pytest.mark.parametrize("first", ["[MAX 2 9 ]\t9", '"Source"\t"Target"', "Source,Target", ""])
@pytest.mark.parametrize("chunk", [4, 1 << 20])
def test_a_missing_header_is_named(tmp_path, monkeypatch, first, chunk):
    replace(monkeypatch, lines, lines.CHUNK_BYTES, chunk)
    path = written(tmp_path, f"{first}\n[MAX 2 9 ]\t9\n")
    with pytest.raises(InputError, match=r"file\.tsv:1: expected the header 'Source<TAB>Target'"):
        list(all_good(listops_tsv.read(path, "train")))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("kind", READERS)
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path, kind, end):
    read, header, example = READERS[kind]
    content = "\ufeff" + end.join(([] if header is None else [header]) + [example] * 2) + end
    _, _, labels = joined(read(written(tmp_path, content), "train"))
    assert len(labels) == 2


@pytest.mark.parametrize("kind", READERS)
def test_lines_that_end_with_cr_alone_are_named(tmp_path, kind):
    read, header, example = READERS[kind]
    content = "\r".join(([] if header is None else [header]) + [example] * 3) + "\r"
    with pytest.raises(
        InputError, match=r"file\.tsv: its lines end with CR alone; end them with LF"
    ):
        list(read(written(tmp_path, content), "train"))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (gzip.compress(PAIR.encode()), "a gzip archive; unpack it"),
        (bz2.compress(PAIR.encode()), "a bzip2 archive; unpack it"),
        (lzma.compress(PAIR.encode()), "an xz archive; unpack it"),
        (b"PK\x03\x04\x14\x00", "a zip archive; unpack it"),
        (b"PAR1\x15\x04", "a Parquet file; write it as text"),
        (PAIR.encode("utf-16"), "text in UTF-16; write it in UTF-8"),
    ],
    # Archives hold the time: as names they would differ between the processes of a test run.
    ids=["gzip", "bzip2", "xz", "zip", "parquet", "utf-16"],
)
@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_text_is_named(tmp_path, kind, content, problem):
    path = written(tmp_path, content)
    with pytest.raises(InputError, match=rf"file\.tsv: not lines of text but {problem}"):
        list(READERS[kind][0](path, "train"))


@pytest.mark.parametrize("kind", READERS)
def test_every_example_knows_its_line(tmp_path, monkeypatch, kind):
    replace(monkeypatch, lines, lines.CHUNK_BYTES, 16)
    read, header, example = READERS[kind]
    rows = [header or example, example, "", example, "", "", example]
    blocks = list(read(written(tmp_path, "\n".join(rows)), "train"))
    places = [block.place(i) for block in blocks for i in range(len(block.labels))]
    numbers = [2, 4, 7] if header else [1, 2, 4, 7]
    assert places == [f"{tmp_path / 'file.tsv'}:{number}" for number in numbers]


# Tables


@settings(max_examples=60, deadline=None)
@given(size=st.integers(1, 500), start=st.integers(0, 50), data=st.data())
def test_chosen_rows_are_evenly_spaced(size, start, data):
    wanted = data.draw(st.integers(1, size))
    rows = Part("train", start, start + size, wanted).chosen()
    assert len(rows) == wanted
    assert rows[0] == start
    assert rows[-1] < start + size
    gaps = np.diff(rows)
    assert not len(gaps) or (gaps.min() >= 1 and gaps.max() - gaps.min() <= 1)


def test_rows_are_selected_across_batches_and_files(tmp_path):
    table = pa.table({"text": [f"row {n}" for n in range(5000)], "label": list(range(5000))})
    pq.write_table(table.slice(0, 3000), tmp_path / "a.parquet", row_group_size=700)
    pq.write_table(table.slice(3000), tmp_path / "b.parquet")
    source = parquet([tmp_path / "a.parquet", tmp_path / "b.parquet"], ("text", "label"))
    assert source.rows == 5000
    parts = [Part("train", 0, 4500, 100), Part("validation", 4500, 5000, 500)]
    found: dict[str, list[int]] = {"train": [], "validation": []}
    for split, rows, batch in select(source, parts):
        numbers = rows.numbers.tolist()
        assert batch.column("label").to_pylist() == numbers
        symbols, lengths = ragged_bytes(batch.column("text"), rows.place)
        assert symbols.tobytes() == "".join(batch.column("text").to_pylist()).encode()
        assert lengths.sum() == len(symbols)
        found[split] += numbers
        last = len(rows) - 1
        file, row = ("b", numbers[last] - 3000) if numbers[last] >= 3000 else ("a", numbers[last])
        assert rows.place(last) == f"{tmp_path / file}.parquet, row {row}"
    assert found["train"] == parts[0].chosen().tolist()
    assert found["validation"] == list(range(4500, 5000))


def test_bytes_of_a_column_are_utf8_and_survive_slicing():
    column = pa.array(["", "é", "abc", "日本"]).slice(1, 3)
    symbols, lengths = ragged_bytes(column, place)
    assert symbols.tobytes() == "éabc日本".encode()
    assert lengths.tolist() == [2, 3, 6]
    assert ragged_bytes(pa.array(["", ""]), place)[1].tolist() == [0, 0]


def test_unfit_tables_are_named(tmp_path):
    bad = tmp_path / "bad.parquet"
    bad.write_bytes(b"PAR1 this is not Parquet PAR1")
    with pytest.raises(InputError, match=r"bad\.parquet: not a readable Parquet file"):
        parquet([bad], ("text",))
    pq.write_table(pa.table({"words": ["a"]}), tmp_path / "other.parquet")
    with pytest.raises(InputError, match=r"other\.parquet: no column text; it has words"):
        parquet([tmp_path / "other.parquet"], ("text",))
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "empty.parquet")
    with pytest.raises(InputError, match=r"empty\.parquet: no rows in it"):
        parquet([tmp_path / "empty.parquet"], ("text",))


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        (["a", None], "file, row 1: no text; leave the row out, or give it one"),
        ([None, "a"], "file, row 0: no text"),
        ([1, 2], "file, row 0: text was expected, not int64"),
        ([["a"], ["b"]], "file, row 0: text was expected, not list<"),
    ],
)
def test_a_row_without_text_is_named(column, problem):
    with pytest.raises(InputError, match=problem):
        ragged_bytes(pa.array(column), place)


@pytest.mark.parametrize(
    ("column", "problem"),
    [
        ([0, 1, None], "file, row 2: no label; leave the row out, or give it one"),
        ([1.0, None], "file, row 1: no label"),
        ([0.0, 1.0], r"file, row 0: label 0\.0; the column must be of whole numbers .*not double"),
        (["pos", "bad"], "file, row 1: label 'bad' is none of neg, pos"),
        (["pos", None], "file, row 1: no label; leave the row out, or give it one"),
        ([True], "file, row 0: label True; the column must be of whole numbers .*not bool"),
        ([0, -1], "file, row 1: label -1 is outside 0 … 1"),
        ([0, 1, 2], "file, row 2: label 2 is outside 0 … 1"),
    ],
)
def test_an_unfit_label_is_named_with_its_row(column, problem):
    with pytest.raises(InputError, match=problem):
        class_labels(pa.array(column), ("neg", "pos"), place)


def test_unfit_image_columns_are_named():
    good = pa.array([{"bytes": b"x", "path": None}])
    assert encoded_images(good, place) == [b"x"]
    with pytest.raises(InputError, match="row 0: images must be structs"):
        encoded_images(pa.array([b"x"]), place)
    with pytest.raises(InputError, match="row 0: an image's 'bytes' must be binary, not string"):
        encoded_images(pa.array([{"bytes": "x"}]), place)
    for missing in ({"bytes": None, "path": "a.png"}, None):
        with pytest.raises(InputError, match="row 1: no image bytes"):
            encoded_images(pa.array([{"bytes": b"x"}, missing]), place)


def find_tables(data_dir: Path) -> Found:
    """Those of a task whose folder is `imdb`."""
    return find("text", data_dir, [ParquetTables(("imdb",))], "get them")


def named(directory: Path, *names: str) -> Path:
    """Empty files of these names in the folder of IMDb."""
    (directory / "imdb").mkdir()
    for name in names:
        (directory / "imdb" / name).touch()
    return directory


@pytest.mark.parametrize(
    "train",
    [
        ["train.parquet"],
        [f"train-{n:05}-of-00003.parquet" for n in range(3)],
        ["train-00000-of-00001-b42a775f407cee45.parquet"],
        [f"train-0000{n}-of-00002-{h}.parquet" for n, h in enumerate(("9fe1", "0ab2"))],
    ],
)
def test_a_whole_table_is_found(tmp_path, train):
    found = find_tables(named(tmp_path, "test.parquet", *train))
    assert [path.name for path in found.files] == [*train, "test.parquet"]


@pytest.mark.parametrize(
    "spoilt",
    [
        ["NAME.parquet", "NAME-00000-of-00002.parquet"],
        ["NAME.parquet", "NAME-00000-of-00002.parquet", "NAME-00001-of-00002.parquet"],
        ["NAME-00000-of-00002.parquet"],
        ["NAME-00001-of-00002.parquet"],
        ["NAME-00000-of-00002.parquet", "NAME-00001-of-00003.parquet"],
        ["NAME-00000-of-00001.parquet", "NAME-00000-of-00001-b42a775f.parquet"],
        ["NAME.parquet", "NAME (1).parquet"],
        ["NAME_old.parquet"],
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_a_table_that_is_not_whole_or_doubled_is_named(tmp_path, spoilt, split):
    other = "test.parquet" if split == "train" else "train.parquet"
    names = sorted(name.replace("NAME", split) for name in spoilt)
    with pytest.raises(InputError) as caught:
        find_tables(named(tmp_path, other, *names))
    assert str(caught.value).startswith(f"{tmp_path / 'imdb'}: {', '.join(names)} ")
    assert f"expected {split}.parquet alone, or alone all shards" in str(caught.value)


def test_a_data_directory_that_is_a_file_is_named(tmp_path):
    (tmp_path / "train.parquet").touch()
    for name, problem in (("train.parquet", "is a file; give the directory"), ("gone", "does not")):
        with pytest.raises(InputError, match=f"{name}' {problem}"):
            find_tables(tmp_path / name)


@pytest.mark.parametrize("columns", [{"corpus_paper_id": ["a"]}, {"full_text": ["short"]}])
def test_papers_of_another_kind_are_bad_input(tmp_path, columns):
    papers = {"corpus_paper_id": [1], "full_text": ["x" * acl_ocl.SHORTEST], **columns}
    (tmp_path / "acl-ocl").mkdir()
    pq.write_table(pa.table(papers), tmp_path / "acl-ocl" / PAPERS)
    citations = pa.table({"citingpaperid": [1], "citedpaperid": [2]})
    pq.write_table(citations, tmp_path / "acl-ocl" / CITATIONS)
    with pytest.raises(InputError, match=r"whole numbers|no paper with a text"):
        acl_pairs(tmp_path, Request())


def test_a_hub_split_without_rows_is_bad_input(monkeypatch):
    import datasets

    empty = datasets.Dataset.from_dict({"text": [], "label": []})
    replace(monkeypatch, datasets, datasets.load_dataset, lambda *_args, **_kwargs: empty)
    with pytest.raises(InputError, match=r"stanfordnlp/imdb \(test\): no rows"):
        hub.table("text", "stanfordnlp/imdb", "test", ("text", "label"))


def test_a_damaged_table_is_named(tmp_path):
    path = tmp_path / "cut.parquet"
    pq.write_table(pa.table({"text": [str(n) * 9 for n in range(20000)]}), path)
    content = bytearray(path.read_bytes())
    content[1000:3000] = b"\xff" * 2000
    path.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"cut\.parquet: damaged"):
        list(parquet([path], ("text",)).batches())


# Images


def test_luma_is_the_weighted_sum_of_the_channels():
    rgb = np.random.default_rng(0).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)
    exact = (rgb.astype(np.int64) @ np.array([2989, 5870, 1140])) * 2555 // (10000 * 2550)
    assert np.abs(grey(rgb).astype(int) - exact).max() <= 1
    assert (grey(rgb) != exact).mean() < 1e-3
    flat = np.full((1, 2, 2, 3), 255, np.uint8)
    assert (grey(flat) == 255).all()
    assert (grey(np.zeros_like(flat)) == 0).all()


def test_image_formats_are_told_by_their_first_bytes():
    pixels = np.random.default_rng(0).integers(0, 256, (4, 4)).astype(np.uint8)
    stacked = np.stack([pixels] * 3, axis=-1)
    assert image_format(encoded(stacked, "JPEG")) == "jpeg"
    assert image_format(encoded(stacked)) == "png"


def test_an_unreadable_image_is_named(tmp_path):
    good = encoded(np.zeros((4, 4), np.uint8))
    noisy = encoded(np.random.default_rng(0).integers(0, 256, (4, 4)).astype(np.uint8))
    for bad in (b"", b"text", good[:40], noisy[: len(noisy) // 2]):
        with pytest.raises(InputError, match="row 7: not a readable PNG or JPEG image"):
            decode([("fine", good), ("row 7", bad)], 4)
    with pytest.raises(InputError, match="row 7: the image is 4×4, expected 32×32"):
        decode([("row 7", good)], 32)
    with pytest.raises(InputError, match="not a readable"):
        decode([("gone", tmp_path / "gone.png")], 4)


# Pathfinder release


def release(root: Path, metadata: str, images: int = 10) -> Path:
    folder = root / "pathfinder32" / "curv_contour_length_14"
    (folder / "imgs" / "0").mkdir(parents=True)
    (folder / "metadata").mkdir()
    for number in range(images):
        pixels = np.full((32, 32), number, np.uint8)
        (folder / "imgs" / "0" / f"sample_{number}.png").write_bytes(encoded(pixels))
    (folder / "metadata" / "0.npy").write_text(metadata)
    return folder / "metadata" / "0.npy"


def test_the_list_of_images_is_read_in_order(tmp_path):
    listed = "".join(f"imgs/0 sample_{n}.png {n} {n % 2} 1.0 14\n" for n in range(10))
    images, bad = pathfinder_release.listing([release(tmp_path, listed)])
    assert not bad
    blocks = list(pathfinder_release.read({"train": images}, 32, Request()))
    assert blocks[0].symbols.reshape(10, -1)[:, 0].tolist() == list(range(10))
    assert blocks[0].labels.tolist() == [0, 1] * 5


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("imgs/0 sample_1.png 1", "expected 'imgs/0"),
        ("imgs/0 sample_1.png 1 2", "expected 'imgs/0"),
        ("../../.. sample_1.png 1 1", "leads out of"),
    ],
)
def test_a_malformed_list_of_images_is_named(tmp_path, line, problem):
    metadata = release(tmp_path, f"imgs/0 sample_0.png 0 1\n{line}\n")
    with pytest.raises(InputError, match=rf"0\.npy:2: .*{problem}"):
        raise InputError(*pathfinder_release.listing([metadata])[1])


@pytest.mark.parametrize(
    ("second", "problem"),
    [
        ("", r"1\.npy: no images in it; get this file"),
        ("\n\n", r"1\.npy: no images in it; get this file"),
        ("imgs/0 sample_1.png 1 1\n", r"1\.npy:1: imgs/0/sample_1\.png is listed a second time"),
    ],
)
def test_a_list_without_images_or_with_known_ones_is_named(tmp_path, second, problem):
    first = release(tmp_path, "imgs/0 sample_0.png 0 1\nimgs/0 sample_1.png 1 1\n")
    (first.parent / "1.npy").write_text(second)
    with pytest.raises(InputError, match=problem):
        pathfinder_release.listing([first, first.parent / "1.npy"])


def test_a_list_that_is_no_text_is_named(tmp_path):
    metadata = release(tmp_path, "")
    metadata.write_bytes(b"\x93NUMPY\x01\x00")
    with pytest.raises(InputError, match="not a readable list of images"):
        pathfinder_release.listing([metadata])


# Hub


def test_a_hub_that_cannot_be_reached_is_one_line(monkeypatch):
    import datasets

    def refuse(*_args, **_kwargs):
        raise ConnectionError("Couldn't reach the Hub\nwith a long\ntrace")

    replace(monkeypatch, datasets, datasets.load_dataset, refuse)
    with pytest.raises(InputError) as caught:
        hub.table("text", "stanfordnlp/imdb", "train", ("text", "label"))
    message = str(caught.value)
    assert "can't get 'stanfordnlp/imdb'" in message
    assert "Couldn't reach the Hub" in message
    assert "--data-dir" in message
    assert "\n" not in message


def test_hub_tables_stream_like_files(monkeypatch):
    import datasets

    fake = datasets.Dataset.from_dict({"text": [f"t{n}" for n in range(5000)], "label": [0] * 5000})
    replace(monkeypatch, datasets, datasets.load_dataset, lambda *_args, **_kwargs: fake)
    table = hub.table("text", "stanfordnlp/imdb", "train", ("text", "label"))
    assert table.rows == 5000
    got = [text for batch in table.batches() for text in batch.column("text").to_pylist()]
    assert got == fake["text"][:]
    with pytest.raises(InputError, match=r"stanfordnlp/imdb': no column img; it has text, label"):
        hub.table("image", "stanfordnlp/imdb", "train", ("img",))


# ACL-OCL


def corpus(random: np.random.Generator, papers: int = 400, citations: int = 9000):
    """A small table of papers and one of citations, with the columns of the released files."""
    ids = random.permutation(10 * papers)[:papers].astype(np.int64)
    text = [f"paper {i}: " + "word " * int(random.integers(100, 1200)) for i in ids]
    without = set(random.choice(papers, papers // 10, replace=False).tolist())
    full = [None if n in without else one for n, one in enumerate(text)]
    full[-1] = "too short"
    pairs = random.choice(np.concatenate([ids, [10**9]]), (citations, 2))
    return (
        pa.table({"corpus_paper_id": ids, "full_text": full, "title": text}),
        pa.table(
            {"id": range(citations), "citingpaperid": pairs[:, 0], "citedpaperid": pairs[:, 1]}
        ),
    )


@pytest.fixture
def acl(tmp_path) -> tuple[Path, pa.Table, pa.Table]:
    papers, citations = corpus(np.random.default_rng(0))
    folder = tmp_path / "acl-ocl"
    folder.mkdir()
    pq.write_table(papers, folder / PAPERS)
    pq.write_table(citations, folder / CITATIONS)
    return tmp_path, papers, citations


def acl_pairs(folder: Path, request: Request) -> dict[str, list[tuple[int, int, int]]]:
    """(citing, cited, label) of every pair, the papers told by the number in their text."""
    papers = parquet([folder / "acl-ocl" / PAPERS], acl_ocl.PAPER_COLUMNS)
    citations = parquet([folder / "acl-ocl" / CITATIONS], acl_ocl.CITATION_COLUMNS)
    found: dict[str, list[tuple[int, int, int]]] = {}
    for block in acl_ocl.examples(papers, citations, 4000, request):
        ends = np.cumsum(block.lengths)
        texts = [
            block.symbols[end - n : end].tobytes()
            for end, n in zip(ends, block.lengths, strict=True)
        ]
        assert max(map(len, texts)) <= 4001
        numbers = [int(text.split(b":")[0].split()[1]) for text in texts]
        rows = zip(numbers[::2], numbers[1::2], block.labels.tolist(), strict=True)
        found.setdefault(block.split, []).extend(rows)
    return found


def test_acl_pairs_cite_or_do_not_and_splits_share_no_paper(acl):
    folder, papers, citations = acl
    cited = set(
        zip(
            citations.column("citingpaperid").to_pylist(),
            citations.column("citedpaperid").to_pylist(),
            strict=True,
        )
    )
    with_text = {
        one
        for one, text in zip(
            papers.column("corpus_paper_id").to_pylist(),
            papers.column("full_text").to_pylist(),
            strict=True,
        )
        if text is not None and len(text) > acl_ocl.SHORTEST
    }
    pairs = acl_pairs(folder, Request())
    assert set(pairs) == {"train", "validation", "test"}
    used = {split: {p for a, b, _ in rows for p in (a, b)} for split, rows in pairs.items()}
    assert not used["train"] & used["validation"]
    assert not used["train"] & used["test"]
    assert not used["validation"] & used["test"]
    for rows in pairs.values():
        positive = [(a, b) for a, b, label in rows if label]
        negative = [(a, b) for a, b, label in rows if not label]
        assert len(positive) == len(negative) > 50
        assert set(positive) <= cited
        assert len(set(positive)) == len(positive)
        assert all((a, b) not in cited and (b, a) not in cited and a != b for a, b in negative)
        assert {p for pair in positive for p in pair} <= with_text
        for side in (0, 1):  # a paper alone does not tell the label
            often, seldom = (Counter(pair[side] for pair in one) for one in (positive, negative))
            assert (often & seldom).total() > 0.95 * len(positive)


def test_acl_pairs_are_always_the_same_and_can_be_limited(acl):
    folder, _, _ = acl
    assert acl_pairs(folder, Request()) == acl_pairs(folder, Request())
    limited = acl_pairs(folder, Request(limit=100))
    assert len(limited["train"]) == 100


def test_acl_without_citations_is_bad_input(tmp_path):
    papers, citations = corpus(np.random.default_rng(0), citations=3)
    (tmp_path / "acl-ocl").mkdir()
    pq.write_table(papers, tmp_path / "acl-ocl" / PAPERS)
    pq.write_table(citations, tmp_path / "acl-ocl" / CITATIONS)
    with pytest.raises(InputError, match="too few citations"):
        acl_pairs(tmp_path, Request())


def test_acl_comes_from_the_hub_by_its_file_names(acl, monkeypatch):
    import datasets

    from lra_bench.tasks.retrieval import Retrieval

    _, papers, citations = acl
    asked = []

    def load(repository, data_files, split):
        asked.append((repository, data_files, split))
        return datasets.Dataset(papers if data_files == PAPERS else citations)

    replace(monkeypatch, datasets, datasets.load_dataset, load)
    blocks = list(Retrieval().hub(Request(limit=50)))
    assert [one[:2] for one in asked] == [
        ("WINGNUS/ACL-OCL", "acl-publication-info.74k.v2.parquet"),
        ("WINGNUS/ACL-OCL", "acl_onlygraph.parquet"),
    ]
    assert {block.split for block in blocks} == {"train", "validation", "test"}
