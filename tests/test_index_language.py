"""What language a text is told to be in."""

import errno

import pytest

from index import language
from index.errors import DiskFull, InvalidInput
from index.filter import Filter
from index.language import language_of

TEXTS = {
    "en": "The bridge over the river was shut on Monday after engineers found cracks in two of its pillars.",
    "de": "Die Brücke über den Fluss wurde am Montag gesperrt, nachdem Risse in zwei Pfeilern gefunden wurden.",
    "fr": "Le pont sur la rivière a été fermé lundi après que des fissures ont été trouvées dans deux piliers.",
    "es": "El puente sobre el río fue cerrado el lunes después de que se encontraran grietas en dos pilares.",
    "pl": "Most na rzece został zamknięty w poniedziałek, po tym jak znaleziono pęknięcia w dwóch filarach.",
    "ru": "Мост через реку был закрыт в понедельник после того, как были обнаружены трещины в двух опорах.",
    "ar": "أغلق الجسر فوق النهر يوم الاثنين بعد أن وجد المهندسون شقوقا في اثنين من أعمدته.",
    "ja": "技術者が二本の橋脚にひび割れを見つけたため、川にかかる橋は月曜日に閉鎖された。",
    "zh": "工程师在两根桥墩上发现裂缝后，河上的大桥于周一关闭。",
}


@pytest.mark.parametrize("code", TEXTS)
def test_a_sentence_is_enough(code: str) -> None:
    assert language_of(TEXTS[code], {}) == code


@pytest.mark.parametrize("text", ["12 345 67 89", "?! …", "Oslo wins bid", "💥" * 20])
def test_what_cannot_be_told_is_not(text: str) -> None:
    assert language_of(text, {}) is None


@pytest.mark.parametrize("said", ["de", "de-AT", "DE", "de_DE.UTF-8", " de "])
def test_what_the_source_says_counts(said: str) -> None:
    assert language_of(TEXTS["en"], {"language": said}) == "de"


@pytest.mark.parametrize("said", ["", "und", "English", "e", 5, None, ["de"], {"de": 1}, "déf"])
def test_what_is_no_language_does_not(said: object) -> None:
    assert language_of(TEXTS["fr"], {"language": said}) == "fr"


def test_the_beginning_tells() -> None:
    assert language_of(TEXTS["en"] * 20 + TEXTS["de"] * 1_000, {}) == "en"


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    language._identifier.cache_clear()
    monkeypatch.setattr("py3langid.langid.LanguageIdentifier.from_model_file", full)
    with pytest.raises(DiskFull, match=r"cannot be unpacked in .*: No space left on device; make room there"):
        language_of(TEXTS["en"], {})
    language._identifier.cache_clear()


@pytest.mark.parametrize("code", ["English", "EN", "en-GB", "", "e", "english", "e1"])
def test_a_filter_takes_codes_alone(code: str) -> None:
    with pytest.raises(InvalidInput, match=f"language: {code!r} is no code of ISO 639; write it like en"):
        Filter(languages=frozenset({"de", code}))
