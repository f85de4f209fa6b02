"""What an assistant may do with a library: what each tool takes, what it gives, and the same in words."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from index.article import MAX_ID_CHARACTERS
from index.errors import InvalidInput
from index.library import AnyLibrary
from qa.confidence import DEFAULT_HITS
from qa.wire import AnswerJSON
from server import questions
from server.responses import ArticlePartJSON, SearchJSON
from server.service import Service
from server.tool_words import answer_words, article_words, search_words
from server.wire import AskBody, Asked, Date, FilterBody, Hits, Languages, Names, Position, SearchBody, Share

MAX_PART_CHARACTERS = 20_000
"""Of an article's text given at once: a long newspaper article, and some 5,000 tokens to whoever reads it."""


class _Arguments(BaseModel):
    """As the body of a request: nothing but these, and nothing is converted to the type wanted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Asking(_Arguments):
    question: Annotated[Asked, Field(description="In plain words, like: When was the treaty signed?")]
    since: Annotated[Date | None, Field(description="Only articles published on this day (2023-07-28) or later.")] = (
        None
    )
    until: Annotated[Date | None, Field(description="Only articles published on this day or earlier.")] = None
    sources: Annotated[Names | None, Field(description="Only articles of these sources, as results name them.")] = None
    languages: Annotated[Languages | None, Field(description="Only articles in these languages, like en.")] = None

    def filter(self) -> FilterBody:
        return FilterBody(sources=self.sources, since=self.since, until=self.until, languages=self.languages)


class AskArguments(_Asking):
    """What `ask` takes; the bounds are those of the HTTP interface."""

    k: Annotated[Hits | None, Field(description="Passages to read at most; rarely needed.")] = None
    threshold: Annotated[
        Share | None, Field(description="Confidence below which no answer is given; the fitted one if left out.")
    ] = None

    def made(self) -> AskBody:
        return AskBody(question=self.question, k=self.k, threshold=self.threshold, filter=self.filter())


class SearchArguments(_Asking):
    """What `search` takes."""

    k: Annotated[Hits, Field(description="Passages to find.")] = DEFAULT_HITS

    def made(self) -> SearchBody:
        return SearchBody(question=self.question, k=self.k, filter=self.filter())


class ArticleArguments(_Arguments):
    """What `get_article` takes."""

    id: Annotated[
        str, Field(min_length=1, max_length=MAX_ID_CHARACTERS, description="The id that results give as `article`.")
    ]
    start: Annotated[Position, Field(description="The first character of the part wanted, counted from 0.")] = 0
    end: Annotated[Position | None, Field(description="The end of that part, exclusive.")] = None


@dataclass(frozen=True, slots=True)
class Tool:
    """`run` is given arguments that are a `takes`, and gives JSON that is a `gives`, which `words` says for reading."""

    name: str
    title: str
    description: str
    takes: type[BaseModel]
    gives: type
    run: Callable[[Any, Service], Awaitable[Any]]
    words: Callable[[Any], str]


async def ask(arguments: AskArguments, service: Service) -> AnswerJSON:
    """Raises InvalidInput, Refusal."""
    return await questions.ask(arguments.made(), service)


async def search(arguments: SearchArguments, service: Service) -> SearchJSON:
    """Raises InvalidInput, Refusal."""
    return await questions.search(arguments.made(), service)


async def get_article(arguments: ArticleArguments, service: Service) -> ArticlePartJSON:
    """Raises ArticleNotFound, and InvalidInput where the text has no such part."""
    return await service.reads.run(_part, service.library, arguments)


def _part(library: AnyLibrary, arguments: ArticleArguments) -> ArticlePartJSON:
    article = library.article(arguments.id)
    characters = len(article.text)
    start, end = arguments.start, characters if arguments.end is None else arguments.end
    if not start < min(end, characters):
        raise InvalidInput(f"the article has {characters:,} characters; start must be less than that, and than end")
    end = min(end, characters, start + MAX_PART_CHARACTERS)
    return {
        "article": article.id,
        "title": article.title,
        "url": article.url,
        "published": article.published,
        "source": article.source,
        "duplicate_of": article.duplicate_of,
        "language": article.language,
        "authors": list(article.authors),
        "text_sha256": article.sha256,
        "characters": characters,
        "start": start,
        "end": end,
        "text": article.text[start:end],
    }


_QUOTED = "quote it word for word, in quotation marks, with its source, date and article id; do not paraphrase it"

TOOLS = (
    Tool(
        "ask",
        "Answer a question with a quote",
        "Answer a question out of the library's articles. The answer is a passage's own words with the exact place "
        f"they stand and the probability that they are right. Of an answer, {_QUOTED}. Where there is none, say that "
        "the articles do not answer the question; do not answer it from memory as if they did.",
        AskArguments,
        AnswerJSON,
        ask,
        answer_words,
    ),
    Tool(
        "search",
        "Find passages",
        "Find the passages most likely to hold what is asked, best first, without judging whether they answer it. "
        f"For background, or where `ask` gives no answer. What you use of a passage, {_QUOTED}.",
        SearchArguments,
        SearchJSON,
        search,
        search_words,
    ),
    Tool(
        "get_article",
        "Read an article",
        "The text of an article, exactly as it is stored, or a part of it: to read what stands around a quote, or to "
        f"check one. At most {MAX_PART_CHARACTERS:,} characters come at once; `characters` says how many there are. "
        f"Offsets count Unicode code points. What you use of the text, {_QUOTED}.",
        ArticleArguments,
        ArticlePartJSON,
        get_article,
        article_words,
    ),
)
"""All read, and nothing else."""
