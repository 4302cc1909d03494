"""Files in the encodings of many languages are read with the right letters, and a warning names the encoding."""

from __future__ import annotations

from pathlib import Path

import pytest

from tabsynth.data import read

WORDS = {
    "Turkish": "Şişli Beşiktaş Kadıköy Üsküdar Çankaya Ağrı Iğdır Muğla Eskişehir Diyarbakır",
    "Polish": "Łódź Kraków Wrocław Poznań Gdańsk Białystok Częstochowa Toruń Żółć Świdnica",
    "Czech": "Plzeň Ústí České Králové Zlín Třebíč Žďár Příbram",
    "Hungarian": "Győr Pécs Székesfehérvár Kecskemét Nyíregyháza Hódmezővásárhely Szűz",
    "German": "Müller Größe Straße Köln München Düsseldorf Österreich Ärztin",
    "French": "Orléans Besançon Nîmes Évry Saint-Étienne cœur élevé Noël",
    "Portuguese": "São Brasília Goiânia Belém coração não Ribeirão",
    "Swedish": "Göteborg Malmö Västerås Örebro Linköping Ängelholm Åre",
    "Romanian": "Iaşi Constanţa Timişoara Braşov Bucureşti Târgu Mureş",
    "Latvian": "Rīga Liepāja Jūrmala Rēzekne Ķekava Ādaži Šķirotava",
    "Russian": "Москва Казань Самара Омск Пермь Уфа Тверь",
    "Greek": "Αθήνα Θεσσαλονίκη Πάτρα Ηράκλειο Λάρισα Άρτα",
    "Hebrew": "ירושלים חיפה אשדוד נתניה",
}
ENCODINGS = {
    "Turkish": ("cp1254", "iso8859_9", "cp857"),
    "Polish": ("cp1250", "iso8859_2", "cp852"),
    "Czech": ("cp1250", "iso8859_2", "cp852"),
    "Hungarian": ("cp1250", "iso8859_2", "cp852"),
    "German": ("cp1252", "cp850", "mac_roman"),
    "French": ("cp1252", "iso8859_15", "mac_roman"),
    "Portuguese": ("cp1252", "cp850", "mac_roman"),
    "Swedish": ("cp1252", "cp850", "mac_roman"),
    "Romanian": ("cp1250", "iso8859_2"),
    "Latvian": ("cp1257", "iso8859_13"),
    "Russian": ("cp1251", "koi8_r", "cp866", "mac_cyrillic", "iso8859_5"),
    "Greek": ("cp1253", "iso8859_7"),
    "Hebrew": ("cp1255",),
}


@pytest.mark.parametrize(
    ("language", "encoding"), [(language, one) for language, several in ENCODINGS.items() for one in several]
)
def test_words_of_one_language_give_the_encoding(language: str, encoding: str, tmp_path: Path) -> None:
    words = [word for word in WORDS[language].split() * 5 if word.encode(encoding, "ignore").decode(encoding) == word]
    (tmp_path / "t.csv").write_bytes(
        "".join(["id,city\n", *(f"{i},{word}\n" for i, word in enumerate(words))]).encode(encoding)
    )
    with pytest.warns(UserWarning, match="encoded in"):
        assert read(tmp_path / "t.csv").frame["city"].tolist() == words


@pytest.mark.parametrize("text", ["5 °C", "£20", "«x»", "½ Müller"])
def test_marks_beside_words_do_not_change_the_encoding(text: str, tmp_path: Path) -> None:
    rows = [text, "Köln", "München", "Straße"] * 5
    (tmp_path / "t.csv").write_bytes(
        "".join(["id,x\n", *(f"{i},{row}\n" for i, row in enumerate(rows))]).encode("cp1252")
    )
    with pytest.warns(UserWarning, match="encoded in cp1252"):
        assert read(tmp_path / "t.csv").frame["x"].tolist() == rows
