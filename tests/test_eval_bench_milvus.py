"""What `python -m eval.bench_milvus` says of two answers; its figures need a library and time."""

from eval.bench_milvus import told
from index.article import make_article
from index.passage import Passage
from index.search import Hit
from qa.alike import Pair
from qa.answer import Answer, Candidate, Citation, NoAnswer
from qa.confidence import Evidence

ARTICLES = [make_article("It sank.", id=id) for id in "abc"]
EVIDENCE = Evidence(score=3.0, margin=3.0, fused=1.0, cosine=0.5, places=1, words=9)


def answer(question: str, hits: str, quoted: bool = True) -> Answer:
    """Out of hits in the articles of these names, from the first of which it quotes."""
    found = tuple(Hit(Passage(one, 0, 8), 0.5, 0.5, 0.5) for id in hits for one in ARTICLES if one.id == id)
    best = Candidate(0.9, EVIDENCE, (Citation(found[0].passage.article, 3, 7, 0, 8),)) if quoted else None
    return Answer(question, best, None if quoted else NoAnswer.NOTHING_ANSWERS, 0.9, (), found, 0, True, {})


def test_what_is_answered_unlike_is_told_with_its_reason() -> None:
    pairs = [
        Pair(answer("What sank?", "ab"), answer("What sank?", "ac")),
        Pair(answer("Who sank?", "ab"), answer("Who sank?", "ba")),
        Pair(answer("When?", "ab"), answer("When?", "ab", quoted=False)),
        Pair(answer("Where?", "abc"), answer("Where?", "ca", quoted=False)),
    ]
    assert told(pairs).splitlines() == [
        "1 of 4 questions are answered alike",
        "  Who sank?",
        "    directory: ('a', 3, 7) 'sank', 90% sure",
        "    Milvus: ('b', 3, 7) 'sank', 90% sure",
        "    the same hits in another order",
        "  When?",
        "    directory: ('a', 3, 7) 'sank', 90% sure",
        "    Milvus: None None, 90% sure",
        "    the same hits in the same order",
        "  Where?",
        "    directory: ('a', 3, 7) 'sank', 90% sure",
        "    Milvus: None None, 90% sure",
        "    1 of 3 hits are others",
    ]
