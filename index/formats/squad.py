"""SQuAD's files as articles: the paragraphs of an article joined by blank lines, its title as its id."""

from collections.abc import Iterator, Sequence

SEPARATOR = "\n\n"


def squad_records(data: Sequence[object]) -> Iterator[object]:
    """The records of the entries of a SQuAD file's `data`; one that is none is passed on as it is."""
    for entry in data:
        try:
            title, paragraphs = entry["title"], [paragraph["context"] for paragraph in entry["paragraphs"]]  # type: ignore[index]
            yield {"id": title, "title": title.replace("_", " "), "text": SEPARATOR.join(paragraphs)}
        except (KeyError, TypeError, AttributeError):
            yield entry


def paragraph_starts(contexts: Sequence[str]) -> list[int]:
    """Where each paragraph begins in the text of its article, in code points."""
    starts = [0]
    for context in contexts:
        starts.append(starts[-1] + len(context) + len(SEPARATOR))
    return starts[:-1]
