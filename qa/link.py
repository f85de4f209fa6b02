"""Links that open a page at a quote: URL fragments of the form `#:~:text=` (WICG Scroll to Text Fragment)."""

from urllib.parse import quote as percent_encode

from index.article import Article

_CONTEXT_WORDS = 4
_MAX_EXACT_CHARACTERS = 200
"""A longer quote is given by its first and last words."""


def text_fragment(article: Article, start: int, end: int) -> str:
    """The article's URL with a fragment for its quote at [start, end).

    Where the same words stand elsewhere in the article too, the words before and after tell which is meant.
    """
    text = article.text
    words = text[start:end].split()
    directive = [" ".join(words)]
    if len(directive[0]) > _MAX_EXACT_CHARACTERS and len(words) > 2 * _CONTEXT_WORDS:
        directive = [" ".join(words[:_CONTEXT_WORDS]), " ".join(words[-_CONTEXT_WORDS:])]
    parts = [_encoded(part) for part in directive]
    if text.count(text[start:end]) > 1:
        if before := " ".join(_line_before(text, start).split()[-_CONTEXT_WORDS:]):
            parts.insert(0, _encoded(before) + "-")
        if after := " ".join(_line_after(text, end).split()[:_CONTEXT_WORDS]):
            parts.append("-" + _encoded(after))
    joint = ":~:" if "#" in (article.url or "") else "#:~:"
    return f"{article.url}{joint}text={','.join(parts)}"


def _encoded(text: str) -> str:
    """Percent-encoded; the hyphen too, which has a meaning of its own in a text directive."""
    return percent_encode(text, safe="").replace("-", "%2D")


def _line_before(text: str, position: int) -> str:
    """From the last line end to the position: a fragment's context may not cross from block to block."""
    return text[:position].rpartition("\n")[2]


def _line_after(text: str, position: int) -> str:
    return text[position:].partition("\n")[0]
