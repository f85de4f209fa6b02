"""The reader: packing, folders, offsets with the shipped tokenizer, and a few cases with the shipped model."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Encoding

from index.article import make_article
from index.embed import Runtime
from index.errors import ModelNotFound
from index.passage import Passage
from qa.decode import Logits
from qa.reader import DEFAULT_READER, ModelReader, Span, load_reader, reader_folder

AWKWARD = "😀 cafe\u0301 İstanbul ﬁn\r\n\r\n\u200dשלום 👩\u200d🚀 ẞ \u202etest\u202c 東京 Ｗｉｄｅ ½\u00a0"


def whole(text: str) -> Passage:
    article = make_article(text)
    return Passage(article, 0, len(article.text))


def after(before: str, text: str, behind: str = "") -> Passage:
    """A passage of `text` in an article that has something before and behind it."""
    return Passage(make_article(before + text + behind), len(before), len(before) + len(text))


# folders


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that looks like the shipped reader, with weights that are none."""
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        shutil.copy(reader_folder() / name, tmp_path)
    (tmp_path / "model.safetensors").touch()
    return tmp_path


def test_default_reader_is_shipped() -> None:
    assert reader_folder() == reader_folder(DEFAULT_READER) == Path(__file__).parents[1] / "qa" / "model"


def test_folder_of_a_reader(folder: Path) -> None:
    assert reader_folder(str(folder)) == folder


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"none is no model folder; give a folder with config\.json"):
        load_reader(str(tmp_path / "none"))


def test_file_instead_of_a_folder(folder: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"config\.json is no model folder"):
        load_reader(str(folder / "config.json"))


def test_weights_in_a_format_that_can_hold_code_are_not_taken(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelNotFound, match=r"is not a model we can load: it has no \*\.safetensors"):
        load_reader(str(folder))


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json"])
def test_folder_without_a_file_that_is_needed(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(ModelNotFound, match=f"is not a model we can load: it has no {name}"):
        load_reader(str(folder))


@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"architectures": ["BertModel"]}, "BertModel"),
        ({"architectures": ["BertForMaskedLM", "BertModel"]}, "BertForMaskedLM, BertModel"),
        ({"architectures": None}, "something unnamed"),
        ({}, "something unnamed"),
    ],
)
def test_model_of_another_kind(folder: Path, config: dict[str, object], found: str) -> None:
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelNotFound, match=f"holds {found}; a reader is a model of the kind …ForQuestionAnswering"):
        load_reader(str(folder))


@pytest.mark.parametrize("config", ["", "{", "[]", '"BertForQuestionAnswering"', '{"architectures": 5}', "\xff"])
def test_configuration_that_cannot_be_read(folder: Path, config: str) -> None:
    (folder / "config.json").write_bytes(config.encode("latin-1"))
    with pytest.raises(ModelNotFound, match=r"config\.json|holds"):
        load_reader(str(folder))


def test_tokenizer_configuration_that_is_missing(folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(ModelNotFound, match=r"tokenizer_config\.json"):
        load_reader(str(folder)).read("Where?", [whole("In Oslo.")])


def test_tokenizer_that_cannot_be_read(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelNotFound, match=r"tokenizer\.json"):
        load_reader(str(folder)).read("Where?", [whole("In Oslo.")])


# offsets, with the shipped tokenizer and no model


class Pointer(ModelReader):
    """In place of a model, points at every place where a word stands in a passage; `windows` counts what it saw."""

    def __init__(self, word: str) -> None:
        super().__init__(reader_folder(), Runtime.ONNX)
        self.word = word
        self.windows = 0

    def _logits(self, encodings: Sequence[Encoding]) -> tuple[Logits, Logits]:
        wanted = self._pairs.tokenizer.encode(self.word, add_special_tokens=False).ids
        self.windows += len(encodings)
        start, end = np.zeros((2, len(encodings), max(len(encoding.ids) for encoding in encodings)), dtype=np.float32)
        for row, encoding in enumerate(encodings):
            for first in range(len(encoding.ids) - len(wanted) + 1):
                if encoding.ids[first : first + len(wanted)] == wanted:
                    start[row, first] = end[row, first + len(wanted) - 1] = 5.0
        return start, end


pointer = Pointer("Oslo")


def best(spans: list[Span]) -> tuple[str, int, int, float]:
    return spans[0].text, spans[0].start, spans[0].end, spans[0].score


def test_offsets_are_the_article_s() -> None:
    passage = after("Nothing to see here. ", "It was in Oslo on Friday.", " And so on.")
    assert best(pointer.read("Where was it?", [passage])[0]) == ("Oslo", 31, 35, 10.0)


def test_the_same_word_in_the_question_is_no_answer() -> None:
    spans = pointer.read("Is Oslo in Norway?", [whole("It is in Oslo, they say.")])[0]
    assert best(spans) == ("Oslo", 9, 13, 10.0)


@pytest.mark.parametrize("character", list(AWKWARD.replace(" ", "")))
def test_offsets_behind_any_character(character: str) -> None:
    passage = after(f"{character * 3} ", f"{character * 2} It was in Oslo{character if character.isspace() else ''}.")
    text, start, end, _ = best(pointer.read("Where?", [passage])[0])
    assert (text, end - start) == ("Oslo", 4)
    assert start == passage.article.text.index("Oslo")


odd_characters = st.sampled_from(AWKWARD) | st.characters(exclude_categories=["Cs"], exclude_characters="\0")
odd_text = st.text(odd_characters, max_size=40)


@given(before=odd_text, first=odd_text, last=odd_text, behind=odd_text)
@settings(max_examples=300)
def test_offsets_in_any_text(before: str, first: str, last: str, behind: str) -> None:
    passage = after(before + "\n", f"| {first} Oslo {last} |", "\n" + behind)
    spans = pointer.read("Where?", [passage])[0]
    assert (spans[0].text, spans[0].score) == ("Oslo", 10.0)
    assert passage.start + 2 + len(first) + 1 in [span.start for span in spans]
    for span in spans:
        assert passage.start <= span.start < span.end <= passage.end
        assert span.text == passage.article.text[span.start : span.end]


def test_answer_keeps_its_combining_marks() -> None:
    reader = Pointer("cafe")
    assert best(reader.read("Where?", [whole("In the cafe\u0301 there.")])[0])[0] == "cafe\u0301"


def test_quote_is_not_torn_out_of_a_word() -> None:
    # the tokenizer has "oslo" as a part of the longer word, and the model points there
    spans = pointer.read("Where?", [whole("The Oslobugt lies by Bergen.")])[0]
    assert [span.text for span in spans if "Oslo" in span.text and "Oslobugt" not in span.text] == []


def test_answer_in_the_last_window_of_a_long_passage() -> None:
    reader = Pointer("Oslo")
    passage = after("A beginning. ", "Nothing of the kind was said here. " * 150 + "It was in Oslo.")
    assert best(reader.read("Where?", [passage])[0]) == ("Oslo", len(passage.article.text) - 5, passage.end - 1, 10.0)
    assert reader.windows > 3


def test_answer_in_two_windows_is_found_once() -> None:
    reader = Pointer("Oslo")
    filler = "Nothing of the kind was said here. "
    passage = whole(filler * 38 + "It was in Oslo. " + filler * 38)  # token 307: the windows share 251 to 378
    spans = reader.read("Where?", [passage])[0]
    assert reader.windows == 2
    assert [span.start for span in spans if span.text == "Oslo"] == [passage.text.index("Oslo")]


def test_at_most_three_spans_that_do_not_overlap() -> None:
    spans = pointer.read("Where?", [whole("Oslo, Oslo, Oslo, Oslo.")])[0]
    assert [(span.text, span.start) for span in spans] == [("Oslo", 0), ("Oslo", 6), ("Oslo", 12)]


def test_each_passage_gets_its_own_spans_in_order() -> None:
    long = "Nothing of the kind was said here. " * 60
    texts = ["Oslo it is.", long + "Oslo.", "Oh, Oslo.", long + long + "To Oslo."]
    found = pointer.read("Where?", [whole(text) for text in texts])
    assert [spans[0].start for spans in found] == [text.index("Oslo") for text in texts]


def test_no_passages() -> None:
    assert pointer.read("Where?", []) == []


def test_passage_of_punctuation_alone_has_no_spans() -> None:
    assert pointer.read("Where?", [whole("— … ; ! ?"), whole("Oslo")])[0] == []


def test_longest_question_leaves_room_for_the_passage() -> None:
    question = "where was it said that " * 400
    assert best(pointer.read(question, [whole("It was in Oslo.")])[0]) == ("Oslo", 10, 14, 10.0)


def test_passages_and_question_are_left_alone() -> None:
    passages = [whole("It was in Oslo."), whole("Not here.")]
    pointer.read("Where?", passages)
    assert [passage.text for passage in passages] == ["It was in Oslo.", "Not here."]


# the shipped model

PARADE = (
    "The highly anticipated parade in Pyongyang was held to commemorate the 70th anniversary of the end of the Korean "
    "War. Notably, the presence of Russian Defence Minister Sergei Shoigu marked the first visit by Moscow's top "
    "defense official since 1991."
)
FERRY = "The ferry Grey Heron was carrying 186 passengers and a crew of nine when it hit the breakwater at 07:42."


@pytest.fixture(scope="module")
def reader() -> ModelReader:
    return load_reader()


def test_known_answer_at_its_place(reader: ModelReader) -> None:
    passage = after("Something else comes first.\n\n", FERRY, "\n\nAnd more.")
    [spans] = reader.read("How many passengers was the Grey Heron carrying?", [passage])
    start = passage.article.text.index("186")
    assert (spans[0].text, spans[0].start, spans[0].end) == ("186", start, start + 3)
    assert spans[0].score > 0
    assert [span.score for span in spans] == sorted((span.score for span in spans), reverse=True)


def test_known_answer_behind_awkward_characters(reader: ModelReader) -> None:
    passage = after(AWKWARD, f"{AWKWARD} {FERRY}", AWKWARD)
    [spans] = reader.read("When did the ferry hit the breakwater?", [passage])
    start = passage.article.text.index("07:42")
    assert (spans[0].text, spans[0].start, spans[0].end) == ("07:42", start, start + 5)


def test_passages_in_one_batch_score_as_they_do_alone(reader: ModelReader) -> None:
    # of three lengths, one of several windows, so that there is padding; 1e-3 is some 1000 times the rounding of fp32
    question = "Who was the Russian visitor at the parade?"
    passages = [whole(PARADE), whole(FERRY), whole("Nothing else was said of it. " * 60 + PARADE)]
    together = reader.read(question, passages)
    alone = [reader.read(question, [passage])[0] for passage in passages]
    assert together[0][0].text.endswith("Sergei Shoigu")
    assert together[2][0].text.endswith("Sergei Shoigu")
    assert together[2][0].start > 60 * 29
    for one, other in zip(together, alone, strict=True):
        assert [(span.start, span.end) for span in one] == [(span.start, span.end) for span in other]
        assert [span.score for span in one] == pytest.approx([span.score for span in other], abs=1e-3)
    assert together[0][0].score > 0 > together[1][0].score


def test_weights_that_are_none(folder: Path) -> None:
    with pytest.raises(ModelNotFound, match=r"safetensors"):
        load_reader(str(folder)).read("Where?", [whole("In Oslo.")])
