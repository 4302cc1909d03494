"""CSV files as programs of many countries write them: separators, decimals, encodings."""

from __future__ import annotations

from pathlib import Path

import pytest

from tabsynth.data import read, write
from tabsynth.errors import DataError, SourceError
from tabsynth.schema.schema import Schema


def _csv(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


GERMAN = "betrag;stück;anteil\n" + "".join(f"1{i}.500,{i}5;{i + 1}.250;{i},5 %\n" for i in range(9))


def test_points_are_thousands_where_another_column_has_decimal_commas(tmp_path):
    with pytest.warns(UserWarning, match="semicolons"):
        table = read(_csv(tmp_path, GERMAN))
    assert table.frame["betrag"].tolist()[:2] == [10500.05, 11500.15]
    assert table.frame["stück"].tolist()[:2] == [1250, 2250]
    assert [table.schema[name].format for name in table.schema] == ["#.##0,00", "#.##0", "0,0 %"]


def test_points_are_decimals_where_nothing_says_otherwise(tmp_path):
    text = "a;b\n1.250;x\n2.500;y\n"
    assert read(_csv(tmp_path, text), separator=";").frame["a"].tolist() == [1.25, 2.5]
    assert read(_csv(tmp_path, text), separator=";", decimal=",").frame["a"].tolist() == [1250, 2500]
    with pytest.raises(SourceError, match="decimal must be"):
        read(_csv(tmp_path, text), decimal=";")


def test_numbers_are_written_as_they_were_spelled(tmp_path):
    table = read(_csv(tmp_path, GERMAN), separator=";")
    write(table, tmp_path / "out.csv")
    again = read(tmp_path / "out.csv")
    assert '"10.500,05",1.250,"0,5 %"' in (tmp_path / "out.csv").read_text("utf-8")
    assert again.frame["betrag"].equals(table.frame["betrag"])
    assert read(tmp_path / "out.csv", schema=table.schema).frame.equals(table.frame)


def test_a_schema_without_formats_reads_decimal_commas(tmp_path):
    columns = {"betrag": {"kind": "numeric"}, "stück": {"kind": "numeric"}, "anteil": {"kind": "categorical"}}
    table = read(_csv(tmp_path, GERMAN), separator=";", schema=Schema.from_dict({"columns": columns}))
    assert table.frame["betrag"].tolist()[0] == 10500.05
    assert table.frame["stück"].tolist()[0] == 1250


@pytest.mark.parametrize("text", ["a;b\n1;x\n2;Müller\n", "ort;preis\nSão Paulo;R$ 1,50\nOrléans;R$ 2,75\n"])
def test_few_accented_letters_inside_words_are_western(tmp_path, text):
    with pytest.warns(UserWarning, match="cp1252"):
        table = read(_csv(tmp_path, text, "cp1252"))
    assert {"Müller", "São Paulo"} & {str(cell) for row in table.frame.to_numpy() for cell in row}


def test_the_separator_line_of_excel_is_no_row(tmp_path):
    for mark in ("", "\ufeff"):
        table = read(_csv(tmp_path, f"{mark}sep=;\na;b\n1;x\n3;y\n"), encoding="utf-8")
        assert table.frame.to_dict("list") == {"a": [1, 3], "b": ["x", "y"]}
    with pytest.raises(Exception, match="line 4: 3 fields"):
        read(_csv(tmp_path, "sep=;\na;b\n1;x\n3;y;z\n"))


def test_a_space_before_a_percent_sign_separates_no_thousands(tmp_path):
    table = read(_csv(tmp_path, "a\n" + "".join(f"{i}.5 %\n" for i in range(30))))
    assert table.schema["a"].format == "0.0 %"


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32"])
def test_wide_encodings_are_detected_without_a_byte_order_mark(tmp_path, encoding):
    path = _csv(tmp_path, "a,b\n" + "".join(f"{i},Größe {i}\n" for i in range(9)), encoding)
    with pytest.warns(UserWarning, match=encoding):
        frame = read(path).frame
    assert frame["a"].tolist() == list(range(9))
    assert frame["b"][8] == "Größe 8"


@pytest.mark.parametrize("mark", ["^", "~", "\x01"])
def test_a_separator_that_is_not_detected_is_named(tmp_path, mark):
    path = _csv(tmp_path, f"a{mark}b\n" + "".join(f"{i}{mark}x\n" for i in range(5)))
    with pytest.warns(UserWarning, match="single column"):
        assert read(path).frame.shape == (5, 1)
    assert read(path, separator=mark).frame.shape == (5, 2)


@pytest.mark.parametrize(
    ("content", "what"), [("PK\x03\x04rest\n1\n", "workbook"), (" <HTML>\n<p>1\n", "HTML"), ('[{"a": 1}]\n1\n', "JSON")]
)
def test_other_content_under_the_suffix_of_csv_is_named(tmp_path, content, what):
    with pytest.raises(SourceError, match=what):
        read(_csv(tmp_path, content))


def test_lines_above_the_header_are_explained(tmp_path):
    with pytest.raises(DataError, match="above the header"):
        read(_csv(tmp_path, "# report\na,b\n1,2\n3,4\n"))
