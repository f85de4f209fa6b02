"""The rows of a library in Milvus: what is in them, and what they are found by."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256

from pymilvus import CollectionSchema, DataType, Function, FunctionType, MilvusClient
from pymilvus.milvus_client.index import IndexParams

from index.embed import Vectors
from index.filter import Filter
from index.lexical import BOOSTS
from index.milvus_client import STRING_BYTES, Row
from index.passage import Passage

VERSION_DIGITS = 24
RANDOM_DIGITS = 8
"""Of them, for what others write in the same nanosecond, which the other digits say."""

UNFINISHED_SECONDS = 3_600
"""Nobody takes longer from a version's first piece to the row that names it: what is older and unnamed is left over."""

_PLACE_DIGITS = 6
"""Of a piece's or a passage's place in its version, whose key ends in them."""

_KEY_BYTES = 64
_DIGEST_DIGITS = 32
_TERM_DIGITS = 12
_MAX_TERMS = STRING_BYTES // (_TERM_DIGITS + 1)
"""Of a passage and its title, within one string: of each field the last, so that what is left out is of the title."""

QUESTION_WEIGHT = 10
"""Times a field's boost: how often its terms are in the question, since Milvus weighs a term by that."""

_NOTHING = [0.0, 0.0]
"""The vector of rows that have none: Milvus wants one of every row."""

PASSAGE_INDEXES = ("vector", "words")
"""Without which passages are not searched; made last, so that the others are there too, but for libraries made before
those were."""

_LOOKED_UP_RECORDS = ("kind", "origin")
_LOOKED_UP_PASSAGES = ("article", "source", "published", "language")
"""What filters name: without an index a server reads every row for them."""

_NEIGHBOURS = {"M": 32, "efConstruction": 200}
_BM25 = {"bm25_k1": 1.2, "bm25_b": 0.75}
"""As tantivy has them."""


@dataclass(frozen=True, slots=True)
class ArticleRow:
    """An article's own row. `version` begins the keys of its pieces and passages, of which there are so many."""

    id: str
    version: str
    pieces: int
    passages: int
    checksum: str
    origin: str | None
    language: str | None

    @property
    def key(self) -> str:
        return article_key(self.id)

    @property
    def piece_keys(self) -> list[str]:
        return [f"p{self.version}{place:0{_PLACE_DIGITS}x}" for place in range(self.pieces)]

    @property
    def passage_keys(self) -> list[str]:
        return [f"{self.version}{place:0{_PLACE_DIGITS}x}" for place in range(self.passages)]

    def record(self) -> Row:
        """As it is stored."""
        origin = "" if self.origin is None else digest(self.origin)
        return record(self.key, "article", json.dumps(asdict(self), ensure_ascii=False), self.version, origin)


def article_row_of(value: str) -> ArticleRow:
    """What `ArticleRow.record` has as its value."""
    return ArticleRow(**json.loads(value))


def record(key: str, kind: str, value: str, version: str = "", origin: str = "") -> Row:
    return {"key": key, "kind": kind, "version": version, "origin": origin, "value": value, "nothing": _NOTHING}


def records_schema() -> tuple[CollectionSchema, IndexParams]:
    """Of all that is found by key."""
    schema = _schema()
    for name, length in (
        ("kind", 16),
        ("version", VERSION_DIGITS),
        ("origin", _DIGEST_DIGITS),
        ("value", STRING_BYTES),
    ):
        schema.add_field(name, DataType.VARCHAR, max_length=length)
    schema.add_field("nothing", DataType.FLOAT_VECTOR, dim=len(_NOTHING))
    indexes = _looked_up(_LOOKED_UP_RECORDS)
    indexes.add_index("nothing", index_name="nothing", index_type="FLAT", metric_type="L2")
    return schema, indexes


def passage_row(key: str, article: ArticleRow, passage: Passage, terms: dict[str, list[str]], vector: Vectors) -> Row:
    """`terms` are those of the passage, as `Terms` makes them."""
    most = _MAX_TERMS // len(terms)
    words = [_coded(field, term) for field, found in terms.items() for term in found[-most:]]
    return {
        "key": key,
        "article": article.key,
        "start": passage.start,
        "end": passage.end,
        "source": "" if passage.article.source is None else digest(passage.article.source),
        "published": passage.article.published or "",
        "language": passage.article.language or "",
        "terms": " ".join(words),
        "vector": vector.tolist(),
    }


def passages_schema(dimensions: int) -> tuple[CollectionSchema, IndexParams]:
    schema = _schema()
    for name, length in (("article", _KEY_BYTES), ("source", _DIGEST_DIGITS), ("published", 32), ("language", 16)):
        schema.add_field(name, DataType.VARCHAR, max_length=length)
    for name in ("start", "end"):
        schema.add_field(name, DataType.INT64)
    how = {"tokenizer": "standard"}
    schema.add_field("terms", DataType.VARCHAR, max_length=STRING_BYTES, enable_analyzer=True, analyzer_params=how)
    schema.add_field("words", DataType.SPARSE_FLOAT_VECTOR)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=dimensions)
    schema.add_function(Function("bm25", FunctionType.BM25, ["terms"], ["words"]))
    indexes = _looked_up(_LOOKED_UP_PASSAGES)
    indexes.add_index("vector", index_name="vector", index_type="HNSW", metric_type="IP", params=_NEIGHBOURS)
    indexes.add_index("words", index_name="words", index_type="SPARSE_INVERTED_INDEX", metric_type="BM25", params=_BM25)
    return schema, indexes


def passages_filter(filter: Filter) -> str:
    """The filter as Milvus wants it. Names are hashed, since Milvus and Milvus Lite read quotes within them unlike."""
    conditions = []
    if filter.articles:
        conditions.append(f"article in {json.dumps(sorted(map(article_key, filter.articles)))}")
    if filter.sources:
        conditions.append(f"source in {json.dumps(sorted(map(digest, filter.sources)))}")
    if filter.languages:
        conditions.append(f"language in {json.dumps(sorted(filter.languages))}")
    if filter.since is not None:  # an article dated by that day may be of a later hour
        conditions.append(f'(published >= "{filter.since}" or published == "{filter.since[:10]}")')
    if filter.until is not None:  # "~" sorts after every instant that begins with the given date
        conditions.append(f'(published != "" and published < "{filter.until}~")')
    return " and ".join(conditions)


def question_words(terms: dict[str, list[str]]) -> str:
    """What to look up for a question's terms, as `Terms` makes them."""
    return " ".join(_repeated(terms))


def _repeated(terms: dict[str, list[str]]) -> Iterator[str]:
    for field, found in terms.items():
        for term in found:
            yield from [_coded(field, term)] * round(QUESTION_WEIGHT * BOOSTS[field])


def article_key(id: str) -> str:
    """Of the row of the article with this id."""
    return f"a{digest(id)}"


def setting_key(name: str) -> str:
    return f"s{digest(name)}"


def feedback_key(key: int) -> str:
    return f"f{key:016x}"


def passage_key(key: int) -> str:
    """The digits of a passage's number."""
    return f"{key:0{VERSION_DIGITS + _PLACE_DIGITS}x}"


def version_of(key: str) -> str:
    """The version that the key of a piece or a passage begins with."""
    return key.removeprefix("p")[:VERSION_DIGITS]


def moment_of(version: str) -> int:
    """The nanosecond in which it was begun."""
    return int(version[: VERSION_DIGITS - RANDOM_DIGITS], 16)


def digest(text: str) -> str:
    return sha256(text.encode(errors="surrogatepass")).hexdigest()[:_DIGEST_DIGITS]


def _coded(field: str, term: str) -> str:
    """A term as one word of hexadecimal digits, which every tokenizer leaves alone."""
    return sha256(f"{field} {term}".encode()).hexdigest()[:_TERM_DIGITS]


def _looked_up(fields: Sequence[str]) -> IndexParams:
    indexes = MilvusClient.prepare_index_params()
    for field in fields:
        indexes.add_index(field, index_name=field, index_type="INVERTED")
    return indexes


def _schema() -> CollectionSchema:
    schema: CollectionSchema = MilvusClient.create_schema(auto_id=False)
    schema.add_field("key", DataType.VARCHAR, is_primary=True, max_length=_KEY_BYTES)
    return schema
