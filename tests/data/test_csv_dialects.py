"""CSV files as programs of many countries write them: separators, decimals, encodings."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from tabsynth.data import read, write
from tabsynth.data.batch_reader import Batches
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


ESCAPED = "id,note\n" + "".join(f'{i},"he said \\"yes, {i % 3}\\" twice"\n' for i in range(9))


@pytest.mark.parametrize("text", [ESCAPED, "\ufeff" + ESCAPED.replace("\n", "\r\n")], ids=["plain", "windows"])
def test_backslashes_before_quotes_are_escapes_where_nothing_else_fits(tmp_path, text):
    with pytest.warns(UserWarning, match="backslashes before quotes"):
        table = read(_csv(tmp_path, text))
    assert table.frame["note"].tolist()[:2] == ['he said "yes, 0" twice', 'he said "yes, 1" twice']
    batches = Batches(_csv(tmp_path, text))
    with pytest.warns(UserWarning, match="backslashes before quotes"):
        assert pd.concat(batches.frames())["note"].equals(table.frame["note"])
    write(table, tmp_path / "out.csv")
    assert read(tmp_path / "out.csv").frame.equals(table.frame)


def test_the_separator_is_detected_beside_escaped_quotes(tmp_path):
    with pytest.warns(UserWarning, match="semicolons and having backslashes"):
        table = read(_csv(tmp_path, "id;note\n" + '1;"a \\"b; c\\" d"\n2;"x"\n' * 9))
    assert table.frame["note"].tolist()[:2] == ['a "b; c" d', "x"]


def test_doubled_quotes_beside_backslashes_are_no_escapes(tmp_path):
    table = read(_csv(tmp_path, 'id,path\n1,"C:\\a\\"\n2,"the ""C:\\b\\"" drive"\n3,5\' 10" \\ tall\n'))
    assert table.frame["path"].tolist() == ["C:\\a\\", 'the "C:\\b\\" drive', "5' 10\" \\ tall"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ESCAPED.replace("he said", "C:\\he said"), r"line 2: backslashes .* in '\\\\h'.*write quotes"),
        ("id,note\n" + '1,"a"\n' * 50_000 + '2,"a \\"b\\" c"\n', "line 50002: text follows the end of a quoted field"),
        ("id,note\n" + '1,"a"\n' * 50_000 + '2,"a \\"b, c\\""\n', 'line 50002: 3 fields.*write quotes .* twice'),
        ('id,note\n1,"a \\"b\\" c"\n2,"a ""b"", c" d\n3,x\n', "line 2: text follows the end of a quoted field"),
    ],
    ids=["other escapes", "late", "late with a separator", "neither"],
)  # fmt: skip
def test_quotes_that_are_escaped_otherwise_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read(_csv(tmp_path, text))


@pytest.mark.parametrize("mark", [",", "\t", "|", ";"])
def test_chinese_is_detected_whatever_the_separator(tmp_path, mark):
    rows = [["姓名", "费用", "科室"], *([f"王伟{i}", f"{i}.50", ["内科", "外科", "儿科"][i % 3]] for i in range(60))]
    (tmp_path / "t.csv").write_bytes("\n".join(map(mark.join, rows)).encode("gb18030"))
    with pytest.warns(UserWarning, match="encoded in gb18030"):
        frame = read(tmp_path / "t.csv").frame
    assert frame["科室"].tolist()[:3] == ["内科", "外科", "儿科"]
