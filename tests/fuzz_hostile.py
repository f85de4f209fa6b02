"""What a hostile client sends: rows C4, C5, C7 and C10 of the reliability matrix, and what it costs to refuse it."""

import asyncio
import gzip
import http.client
from collections.abc import Callable, Iterator, Mapping, Sequence
from random import Random
from urllib.parse import quote as percent_encode

from server.guard import MAX_BODY_BYTES
from tests.figures import Figure, at_most, counted, exactly
from tests.served import Served
from tests.traffic import BROKEN, Client, Reply, counts, request

SYNTAX = (
    *('"', '"ferry', "a-b", "-ferry", "AND", "ferry AND", "OR NOT", "(", ")", "((ferry", "*", "fer*", "?", "^2", "~"),
    *("title:", "nosuchfield:ferry", "NEAR(a b)", "[a TO", "{a TO b}", "/a(/", "\\", "+", "!", "&&", "||", ":", "<"),
    *("\0", "ferry\0breakwater", "';--", "%", "_", "\N{FULLWIDTH QUOTATION MARK}", "\u202e", "\ufeff", "\ud800"),
)
"""What means something to a query language somewhere: here it is words or nothing."""

_UP = (
    "../",
    "..\\",
    "%2e%2e/",
    "..%2f",
    "..%5c",
    "%252e%252e%252f",
    "....//",
    "..;/",
    "\N{FULLWIDTH FULL STOP}" * 2 + "/",
)
_FILES = ("etc/passwd", "pullquote.db", "keys.json", "pyproject.toml")
TRAVERSALS = (
    *(up * depth + file for up in _UP for depth in (1, 6) for file in _FILES[:2]),
    *(f"/{file}" for file in _FILES),
    *(
        "file:///etc/passwd",
        "C:\\Windows\\win.ini",
        "\\\\host\\share",
        "/proc/self/environ",
        "~/.ssh/id_rsa",
        "/dev/zero",
    ),
    *(
        "pullquote.db\0.txt",
        "..",
        ".",
        "./",
        "a/../../pullquote.db",
        "CON",
        "nul.txt",
        "a" * 512,
        "-rf",
        "$(id)",
        "|id",
    ),
)
"""Ids, names of files and paths that lead somewhere where a name of theirs is taken for a file's."""

_Text = Callable[[int], str]

TEXTS: Mapping[str, _Text] = {
    "one word": lambda size: "x" * size,
    "combining marks": lambda size: "e" + "\u0301" * size,
    "blanks": lambda size: " " * size + "x",
    "blank lines": lambda size: "\n" * size + "x",
    "full stops": lambda size: ". " * (size // 2),
    "abbreviations": lambda size: "Mr. " * (size // 4),
    "open quotes": lambda size: '"(' * (size // 2),
    "joined emoji": lambda size: "\N{WOMAN}\u200d" * (size // 2),
    "right to left": lambda size: "\u202e\u05d0" * (size // 2),
    "words": lambda size: " ".join(f"w{number}" for number in range(size // 6)),
}

FILES: Mapping[str, _Text] = {
    "unclosed tags.html": lambda size: _page("<div>" * (size // 5)),
    "unclosed quotes.html": lambda size: _page("<a href='" * (size // 9)),
    "entities.html": lambda size: _page("&amp;" * (size // 5)),
    "comments.html": lambda size: _page("<!--" * (size // 4)),
    "tables.html": lambda size: _page("<table><tr><td>" * (size // 15)),
    "paragraphs.html": lambda size: _page("<p>Nobody was killed.</p>" * (size // 25)),
    "brackets.md": lambda size: "[" * size,
    "stars.md": lambda size: "*a_" * (size // 3),
    "quotes.md": lambda size: "> " * (size // 2),
    "backticks.md": lambda size: "`" * size,
    "lists.md": lambda size: "- " * (size // 2),
    "brackets.json": lambda size: "[" * size,
}
"""By the name of a file, of which the ending says how it is read."""

_MOST_RATIO = 2.5
"""Twice as much may take so many times as long."""

_LEAST_SECONDS = 0.3
"""What it takes to start a process that parses; below it, a ratio says nothing."""

_MOST_SECONDS = 5.0
_MIB = 1024**2
_MOST_OF_REFUSED = 2.0
_MOST_OF_ALLOWED = 4.0
"""As `server.guard` says."""

_PART = b" " * 65_536


def addition(text: str) -> bytes:
    """The text as an article."""
    return request("POST", "/v1/articles", {"id": "hostile", "text": text})


def _page(text: str) -> str:
    """An article of a web page, so that somebody tries to read it."""
    said = "The ferry hit the breakwater in fog, and nobody was killed, as the harbour master said on Monday. " * 9
    return f"<html><title>Fog</title><body><article><p>{said}</p>{text}</article></body></html>"


def upload(name: str, content: bytes) -> bytes:
    """The file, sent by the form of the pages."""
    body = (
        f'--b\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n'.encode()
        + content
        + b"\r\n--b--"
    )
    head = "POST /articles HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\n"
    head += f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def pathological(served: Served, size: int) -> list[Figure]:
    """C4: the CPU time for texts and files of `size` characters, and for those twice as long."""
    sent = {name: lambda size, text=text: addition(text(size)) for name, text in TEXTS.items()}
    sent |= {name: lambda size, name=name, text=text: upload(name, text(size).encode()) for name, text in FILES.items()}
    figures: list[Figure] = []
    replies: list[Reply] = []
    seconds: dict[str, float] = {}
    for name, content in sent.items():
        spent = []
        for times in (1, 2):
            before = served.cpu_seconds
            replies.append(sent_alone(served.port, content(size * times)))
            spent.append(served.cpu_seconds - before)
        seconds[name] = spent[1]
        ratio = spent[1] / max(spent[0], _LEAST_SECONDS)
        figures.append(at_most(f"{name}: time({2 * size:,}) / time({size:,})", ratio, _MOST_RATIO))
    longest = max(seconds, key=seconds.__getitem__)
    return [
        *figures,
        at_most(f"longest, s of CPU: {longest}", seconds[longest], _MOST_SECONDS),
        counted("responses", counts(replies)),
        exactly("5xx", sum(reply.status >= 500 or reply.status == BROKEN for reply in replies), 0),
    ]


def bodies(served: Served) -> list[Figure]:
    """C7: bodies that are too large, or are not what they say, and the memory that they take of the server, one after
    another. The limit is that of a body."""
    parts = MAX_BODY_BYTES // len(_PART)
    begun = served.memory
    refused = {
        "declared too large": _raw(served.port, {"Content-Length": str(MAX_BODY_BYTES + 1)}, []),
        "too large in chunks": _raw(served.port, {"Transfer-Encoding": "chunked"}, [_PART] * 2 * parts),
    }
    other = {
        "gzip": _raw(served.port, {"Content-Encoding": "gzip"}, [gzip.compress(b" " * 10 * MAX_BODY_BYTES)]),
        "less than declared": _raw(served.port, {"Content-Length": "100"}, [b'{"text": "x"}']),
        "no length": _raw(served.port, {"Content-Length": "ten"}, []),
        "negative length": _raw(served.port, {"Content-Length": "-1"}, []),
        "two lengths": _raw(served.port, {"Content-Length": "13, 14"}, [b'{"text": "x"}']),
        "multipart": _raw(served.port, {"Content-Type": "multipart/form-data; boundary=b"}, [b"--b\r\n\r\n" + _PART]),
        "random bytes": _raw(served.port, {}, [Random(1).randbytes(MAX_BODY_BYTES // 4)]),
    }
    peak = served.peak_memory
    largest = _raw(served.port, {}, [_PART] * parts)
    return [
        *(exactly(f"{name}: status", status, 413) for name, status in refused.items()),
        *(Figure(f"{name}: status", status) for name, status in other.items()),
        exactly("5xx", sum(status >= 500 for status in other.values()), 0),
        at_most("peak memory of these / limit", (peak - begun) * _MIB / MAX_BODY_BYTES, _MOST_OF_REFUSED),
        Figure("blanks up to the limit: status", largest),
        at_most("peak memory then / limit", (served.peak_memory - begun) * _MIB / MAX_BODY_BYTES, _MOST_OF_ALLOWED),
    ]


def sent_alone(port: int, content: bytes) -> Reply:
    """The reply over a connection of its own."""

    async def send() -> Reply:
        client = Client(port)
        try:
            return await client.send(content)
        finally:
            client.close()

    return asyncio.run(send())


def _raw(port: int, headers: Mapping[str, str], parts: Sequence[bytes]) -> int:
    """The status, 0 where the server closes the connection without one."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.putrequest("POST", "/v1/articles")
        for name, value in ({"Content-Type": "application/json"} | dict(headers)).items():
            connection.putheader(name, value)
        if not {"Content-Length", "Transfer-Encoding"} & set(headers):
            connection.putheader("Content-Length", str(sum(map(len, parts))))
        connection.endheaders()
        chunked = headers.get("Transfer-Encoding") == "chunked"
        try:
            for part in parts:
                connection.send(b"%x\r\n%b\r\n" % (len(part), part) if chunked else part)
        except OSError:
            pass  # it has seen enough
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        connection.close()


def paths(name: str) -> Iterator[str]:
    """Where a server might look for a file of that name."""
    once = percent_encode(name.encode(errors="surrogatepass"), safe="")
    raw = percent_encode(name.encode(errors="surrogatepass"), safe="/%.\\;:~$|()")
    for path in ("/v1/articles/", "/articles/", "/static/", "/docs/assets/"):
        yield path + once
        yield path + raw
