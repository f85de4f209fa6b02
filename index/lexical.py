"""Search by words: BM25 over passages and their titles, in tantivy. Stems count whole, words as they are written and
pairs of neighbours in part: each tells apart what the others take for the same."""

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import tantivy

from index.passage import Passage
from index.store import Keys

_STEMS, _WORDS, _PAIRS = "stems", "words", "pairs"
BOOSTS = {_STEMS: 1.0, _WORDS: 0.5, _PAIRS: 0.3}
"""What a term of each field counts; see the README's Decisions for the measurement."""

_STOP_WORDS = frozenset(
    {"a", "an", "and", "are", "as", "at", "be", "but", "by", "did", "do", "does", "for", "had", "has", "have", "how"}
    | {"if", "in", "into", "is", "it", "many", "much", "no", "not", "of", "on", "or", "such", "that", "the", "their"}
    | {"then", "there", "these", "they", "this", "to", "was", "were", "what", "when", "where", "which", "who", "whom"}
    | {"why", "will", "with"}
)
"""Words of a question that say nothing of its subject. They are indexed, for questions made of nothing else."""

_SPACED = "pullquote_spaced"
"""The tokenizer of all fields: terms are made here, and given with spaces between them."""

_MAX_TERM_CHARACTERS = 60
_MOST_STEMS = 200_000
"""Remembered: some 30 MB."""

_MAX_QUESTION_TERMS = 256
"""Terms beyond this many are dropped: a question of 100 KB must not become a query of 20,000 clauses."""

_WRITER_HEAP_BYTES = 64_000_000


class LexicalIndex:
    """A tantivy index in a directory; opened as it is there, or made empty. Without a path it is in memory alone."""

    path: Path

    def __init__(self, path: Path | None = None) -> None:
        if path is not None:
            path.mkdir(parents=True, exist_ok=True)
            self.path = path
        self._writer: tantivy.IndexWriter | None = None
        self._terms = Terms()
        builder = tantivy.SchemaBuilder()
        builder.add_unsigned_field("key", indexed=True, fast=True)
        for field in BOOSTS:
            builder.add_text_field(field, tokenizer_name=_SPACED, index_option="freq")
        self._schema = builder.build()
        self._index = tantivy.Index(self._schema, path=None if path is None else str(path))
        self._index.config_reader(reload_policy="manual")  # no thread that watches the directory
        spaced = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
        self._index.register_tokenizer(_SPACED, spaced)

    @property
    def keys(self) -> Keys:
        searcher = self._index.searcher()
        if searcher.num_docs == 0:
            return np.array([], dtype=np.int64)
        hits = searcher.search(tantivy.Query.all_query(), limit=searcher.num_docs, order_by_field="key").hits
        return np.array(sorted(key for key, _ in hits), dtype=np.int64)

    def update(self, add: Iterable[tuple[int, Passage]], remove: Sequence[int]) -> None:
        """Apply additions and removals as one commit. Segments are merged beside what comes after. Raises OSError where
        it cannot be written."""
        try:
            self._update(add, remove)
        except ValueError as error:  # tantivy's only kind; here a full or a failing disk
            raise OSError(str(error)) from None

    def _update(self, add: Iterable[tuple[int, Passage]], remove: Sequence[int]) -> None:
        if self._writer is None:
            self._writer = self._index.writer(_WRITER_HEAP_BYTES, num_threads=1)
        writer = self._writer
        # by query, since delete_documents_by_term takes an integer for a signed one and then deletes nothing
        writer.delete_documents_by_query(tantivy.Query.term_set_query(self._schema, "key", remove))
        for key, passage in add:
            document = tantivy.Document()
            document.add_unsigned("key", key)
            for field, terms in self._terms.of_passage(passage).items():
                document.add_text(field, " ".join(terms))
            writer.add_document(document)
        writer.commit()
        self._index.reload()

    def search(self, question: str, k: int, allowed: Keys | None = None) -> dict[int, float]:
        """The k passages with the highest BM25: key to score, best first, ties by key.

        The question's words are terms to look up, never a query language. With `allowed` the search is over those
        keys alone (the statistics of words remain those of the whole library).
        """
        terms = [(field, term) for field, found in self._terms.of_question(question).items() for term in found]
        if not terms or k == 0 or (allowed is not None and len(allowed) == 0):
            return {}
        query = tantivy.Query.boolean_query([(tantivy.Occur.Should, self._query(*term)) for term in terms])
        if allowed is not None:
            among = tantivy.Query.term_set_query(self._schema, "key", allowed.tolist())
            query = tantivy.Query.boolean_query(
                [(tantivy.Occur.Must, query), (tantivy.Occur.Must, tantivy.Query.const_score_query(among, 0.0))]
            )
        searcher = self._index.searcher()
        hits = searcher.search(query, limit=k, count=False).hits
        keys = searcher.fast_field_values("key", [address for _, address in hits])
        found = [(int(key), score) for key, (score, _) in zip(keys, hits, strict=True) if key is not None]
        return dict(sorted(found, key=lambda item: (-item[1], item[0])))

    def _query(self, field: str, term: str) -> tantivy.Query:
        query = tantivy.Query.term_query(self._schema, field, term, index_option="freq")
        return tantivy.Query.boost_query(query, BOOSTS[field])

    def copy(self, path: Path) -> "LexicalIndex":
        """The same index in another directory, to be changed there. Segment files are never written to again, so
        a link to them will do where the file system can make one. Waits for merges, since they remove files."""
        if self._writer is not None:
            self._writer.wait_merging_threads()
            self._writer = None
        shutil.copytree(self.path, path, copy_function=_link_or_copy, ignore=shutil.ignore_patterns("*.lock"))
        return LexicalIndex(path)


class Terms:
    """Makes texts into what they are looked up by, in each field."""

    def __init__(self) -> None:
        self._words = _analyzer()
        self._stems = _Stems()

    def of_passage(self, passage: Passage) -> dict[str, list[str]]:
        """Every term of the passage and its title, as often as it is there."""
        words, stems = self._analyzed(f"{passage.article.title or ''}\n{passage.text}")
        return {_STEMS: stems, _WORDS: words, _PAIRS: _pairs(words, stems)}

    def of_question(self, question: str) -> dict[str, list[str]]:
        """What to look up, each once."""
        words, stems = self._analyzed(question)
        telling = [place for place, word in enumerate(words) if word not in _STOP_WORDS] or range(len(words))
        found = {
            _STEMS: [stems[place] for place in telling],
            _WORDS: [words[place] for place in telling],
            _PAIRS: _pairs(words, stems),
        }
        return {field: list(dict.fromkeys(terms))[:_MAX_QUESTION_TERMS] for field, terms in found.items()}

    def _analyzed(self, text: str) -> tuple[list[str], list[str]]:
        """The words of a text, and as many stems."""
        words = self._words.analyze(text)
        return words, [self._stems[word] for word in words]


class _Stems(dict[str, str]):
    """Words to their stems, each made once: a third of the time it takes to make an index."""

    def __init__(self) -> None:
        self._analyzer = _analyzer(tantivy.Filter.stemmer("english"))

    def __missing__(self, word: str) -> str:
        if len(self) >= _MOST_STEMS:
            self.clear()
        stem = self[word] = next(iter(self._analyzer.analyze(word)), word)
        return stem


def _analyzer(*more: tantivy.Filter) -> tantivy.TextAnalyzer:
    """Letters and digits in lower case without accents, filtered further."""
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple())
    first = tantivy.Filter.remove_long(_MAX_TERM_CHARACTERS), tantivy.Filter.lowercase(), tantivy.Filter.ascii_fold()
    for one in (*first, *more):
        builder = builder.filter(one)
    return builder.build()


def _pairs(words: Sequence[str], stems: Sequence[str]) -> list[str]:
    """Neighbouring stems as one term each, but for two stop words."""
    dull = [word in _STOP_WORDS for word in words]
    return [
        f"{stems[place]}_{stems[place + 1]}" for place in range(len(stems) - 1) if not dull[place] & dull[place + 1]
    ]


def _link_or_copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
