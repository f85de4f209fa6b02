"""Messages as several programs write them, and mailboxes, to articles."""

import io
import mailbox
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.article import Article
from index.errors import UnreadableArticle
from index.formats import Item, mail
from index.formats.mail import read

FILES = Path(__file__).parent / "files"
MAILS = ["thunderbird.eml", "outlook.eml", "japanese.eml", "old.eml", "list.mbox"]


FETE = "Le pont a été fermé à Besançon, la fête fut très réussie."


def items(data: bytes | str) -> list[Item]:
    return list(read(io.BytesIO(data.encode() if isinstance(data, str) else data), "x"))


def one(data: bytes | str) -> Article:
    """The one article in the data."""
    [item] = items(data)
    assert isinstance(item, Article), item
    return item


class TestPrograms:
    def test_thunderbird(self) -> None:
        assert one((FILES / "thunderbird.eml").read_bytes()) == Article(
            id="0f6b9c1e-7d0a-4a53@post.example",
            text="The bridge was shut on Monday – for six weeks.\n\nOn 30 Jul 2023, Jo Lund wrote:\n"
            "> Is the bridge safe?\n> We drove over it.\n\n-- \nRenée Berg",
            title="Bridge shut – cracks found in the deck of the Saltgate bridge",
            published="2023-07-30T22:30:00Z",
            source="post.example",
            authors=("Renée Berg, editor",),
            metadata={"attachments": 1},
        )

    def test_outlook(self) -> None:
        assert one((FILES / "outlook.eml").read_bytes()) == Article(
            id="AM0PR01MB1234@AM0PR01MB1234.eurprd01.prod.outlook.example",
            text="The ferry runs every twenty minutes – “until the bridge reopens”.\n\nIt costs € 2.",
            title="RE: Ferry times",
            published="2023-08-01T07:05:09Z",
            source="harbour.example",
            authors=("Lund, Jo",),
            metadata={"attachments": 1},
        )

    def test_iso_2022_jp(self) -> None:
        article = one((FILES / "japanese.eml").read_bytes())
        assert (article.text, article.title) == ("橋は月曜日に閉鎖されました。", "橋の閉鎖")
        assert (article.authors, article.published) == (("山田",), "2023-07-31T00:30:00Z")

    def test_no_mime_and_bytes_in_headers(self) -> None:
        article = one((FILES / "old.eml").read_bytes())
        assert article.text == "Le pont a été fermé à Besançon, la fête fut très réussie."
        assert (article.title, article.authors) == ("Le pont fermé", ("Zoé Martin",))
        assert (article.published, article.metadata) == (None, {"published": "31 juillet 2023"})

    def test_mailbox(self) -> None:
        ferry, answer, picture = items((FILES / "list.mbox").read_bytes())
        assert ferry == Article(
            id="1@harbour.example",
            text="The ferry sank.\n\nFrom 09:30 on it rained.\nFrom the bridge we saw it.",
            title="Ferry",
            published="2023-07-31T13:31:00Z",
            source="Harbour talk",
            authors=("Castle FC",),
        )
        assert isinstance(answer, Article)
        assert (answer.id, answer.text) == ("2@harbour.example", "It was raised.\n\n> The ferry sank.")
        assert str(picture) == "x, message 3: the article has no text"


class TestMailbox:
    @pytest.mark.parametrize(
        "envelope",
        [
            "From castle@harbour.example Mon Jul 31 13:31:00 2023",
            "From - Mon Jul 31 13:31:00 2023",
            "From 17604@xxx Tue Feb 20 09:00:00 +0000 2018",
            "From MAILER-DAEMON Mon Jul  3 9:31:00 2023",
        ],
    )
    def test_envelopes(self, envelope: str) -> None:
        data = "".join(f"{envelope}\nSubject: {n}\n\nText {n}.\n\n" for n in (1, 2))
        found = items(data)
        assert [(item.title, item.text) for item in found if isinstance(item, Article)] == [
            ("1", "Text 1."),
            ("2", "Text 2."),
        ]

    def test_sentence_that_begins_with_from(self) -> None:
        data = "From a@b.example Mon Jul 31 13:31:00 2023\nSubject: S\n\nOne.\n\nFrom Monday at 09:30 on it rained.\n"
        assert one(data).text == "One.\n\nFrom Monday at 09:30 on it rained."

    def test_escaped_lines(self) -> None:
        data = (
            "From a@b.example Mon Jul 31 13:31:00 2023\nSubject: S\n\nOne.\n>From here.\n>>From there.\n> From you.\n"
        )
        assert one(data).text == "One.\nFrom here.\n>From there.\n> From you."

    def test_as_pythons_mailbox_reads_it(self, tmp_path: Path) -> None:
        box = mailbox.mbox(tmp_path / "box")
        for number in range(20):
            message = EmailMessage()
            message["Subject"] = f"Nümber {number}"
            message["From"] = "Jö <jo@post.example>"
            message.set_content(f"Text {number}.\n\nFrom here on: ü.\n")
            box.add(message)
        box.close()
        found = items((tmp_path / "box").read_bytes())
        assert [item.title for item in found if isinstance(item, Article)] == [f"Nümber {n}" for n in range(20)]
        assert [item.text for item in found if isinstance(item, Article)] == [
            f"Text {n}.\n\nFrom here on: ü." for n in range(20)
        ]

    def test_large_message_among_others(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(mail, "MAX_MESSAGE_BYTES", 1 << 20)
        envelope = "From - Mon Jul 31 13:31:00 2023\nSubject: S\n\n"
        large, small = items(f"{envelope}{('x' * 79 + chr(10)) * 20_000}\n{envelope}Text.\n")
        assert str(large) == "x, message 1: the message is larger than 1 MiB"
        assert isinstance(small, Article)
        assert small.text == "Text."
        assert [str(item) for item in items("Subject: S\n\n" + "x" * (1 << 20))] == [
            "x: the message is larger than 1 MiB"
        ]


class TestParts:
    def test_plain_part_without_text_gives_way_to_html(self) -> None:
        message = EmailMessage()
        message["Subject"] = "S"
        message.set_content(" \n")
        message.add_alternative("<p>One.</p><p>Two.</p>", subtype="html")
        assert one(bytes(message)).text == "One.\n\nTwo."

    def test_what_is_wrong_with_another_alternative_does_not_matter(self) -> None:
        message = EmailMessage()
        message["Subject"] = "S"
        message.set_content("One.\n")
        message.add_alternative("<div>" * 1_000 + "Lost.", subtype="html")
        assert one(bytes(message)).text == "One."

    def test_parts_after_one_another(self) -> None:
        message = EmailMessage()
        message["Subject"] = "S"
        message.set_content("One.\n")
        message.add_attachment("Two.\n", disposition="inline")
        message.add_attachment("a,b\n", filename="table.txt")
        message.add_attachment(b"x", maintype="application", subtype="octet-stream")
        inner = EmailMessage()
        inner.set_content("Forwarded.\n")
        message.add_attachment(inner)
        article = one(bytes(message))
        assert (article.text, article.metadata) == ("One.\n\nTwo.", {"attachments": 3})

    @pytest.mark.parametrize(
        ("headers", "body", "text"),
        [
            ("Content-Type: text/plain; charset=koi8-r", "Мост закрыт.".encode("koi8-r"), "Мост закрыт."),
            ("Content-Type: text/plain; charset=nonsense", "Zoé".encode(), "Zoé"),
            ("Content-Type: text/plain; charset=us-ascii", "Zoé".encode(), "Zoé"),
            ("Content-Type: text/plain; charset=utf-8", FETE.encode("latin-1"), FETE),
            ("Content-Transfer-Encoding: base64", b"WW\nVzLg==", "Yes."),
            ("Content-Transfer-Encoding: quoted-printable", b"Y=65s=\n.", "Yes."),
            ("Content-Transfer-Encoding: 8-bit", b"Yes.", "Yes."),
            ("Content-Type: multipart/mixed", b"No boundary.", "No boundary."),
            ("Content-Type: nonsense", b"Yes.", "Yes."),
            ("X: y", b"One.\r\n\r\nTwo.\r\n", "One.\n\nTwo."),
        ],
    )  # fmt: skip
    def test_encodings(self, headers: str, body: bytes, text: str) -> None:
        assert one(f"Subject: S\n{headers}\n\n".encode() + body).text == text


class TestHeaders:
    @pytest.mark.parametrize(
        ("subject", "title"),
        [
            ("=?utf-8?b?w6k=?= =?utf-8?q?=C3=A9?= e", "éé e"),
            ("=?utf-8?q?=C3?=\n =?utf-8?q?=A9?=", "é"),
            ("=?utf-8*fr?q?=C3=A9?=", "é"),
            ("=?nonsense?q?=C3=A9?=", "é"),
            ("=?utf-8?b?a?=", "=?utf-8?b?a?="),
            ("=?utf-8?q?=E9?=", "é"),
            ("C:\\users\\zoé", "C:\\users\\zoé"),
            ("Two\n lines", "Two lines"),
        ],
    )
    def test_subject(self, subject: str, title: str) -> None:
        assert one(f"Subject: {subject}\n\nText.").title == title

    @pytest.mark.parametrize(
        ("sender", "authors", "source"),
        [
            ("Jo Lund <jo@post.example>", ("Jo Lund",), "post.example"),
            ("jo@post.example (Jo Lund)", ("Jo Lund",), "post.example"),
            ("jo@post.example", ("jo@post.example",), "post.example"),
            ('"Lund, Jo" <jo@post.example>, r@harbour.example', ("Lund, Jo", "r@harbour.example"), "post.example"),
            ("=?utf-8?q?Lund=2C_J=C3=B6?= <jo@post.example>", ("Lund, Jö",), "post.example"),
            ("", (), None),
        ],
    )
    def test_from(self, sender: str, authors: tuple[str, ...], source: str | None) -> None:
        article = one(f"From: {sender}\n\nText.")
        assert (article.authors, article.source) == (authors, source)

    @pytest.mark.parametrize(
        ("list_id", "source"),
        [
            ("Harbour talk <talk.harbour.example>", "Harbour talk"),
            ('"Harbour talk" <talk.harbour.example>', "Harbour talk"),
            ("<talk.harbour.example>", "talk.harbour.example"),
            ("=?utf-8?q?=C3=89t=C3=A9?= <ete.example>", "Été"),
        ],
    )
    def test_list(self, list_id: str, source: str) -> None:
        assert one(f"From: a@b.example\nList-Id: {list_id}\n\nText.").source == source

    def test_no_message_id(self) -> None:
        assert one("Subject: S\n\nText.").id == one("Subject: T\n\nText.").id

    @pytest.mark.parametrize("data", ["", "\n\n", "Text.", "Colour: red\n\nText.", "\0\1\2"])
    def test_no_mail(self, data: str) -> None:
        assert [str(item) for item in items(data)] == ["x: it is no mail: it has none of its headers"]


class TestHostile:
    def test_nested_parts(self) -> None:
        data = "Subject: S\n" + "".join(
            f'{"--" + str(n - 1) if n else ""}\nContent-Type: multipart/mixed; boundary="{n}"\n\n' for n in range(3_000)
        ).lstrip("\n")
        assert [str(item) for item in items(data)] == ["x: the message is nested too deeply"]

    @pytest.mark.parametrize(
        "data",
        [
            "From: " + "(" * 20_000 + "\n\nText.",
            "Subject: S\nContent-Type: text/html\n\n" + "<div>" * 10_000 + "Lost.",
            "Subject: S\n\n" + "\0" * 100,
            "Subject: S\n" + "Content-Type: message/rfc822\n\n" * 1_500,
        ],
    )
    def test_is_reported(self, data: str) -> None:
        [error] = items(data)
        assert isinstance(error, UnreadableArticle)

    @settings(max_examples=100, deadline=None)
    @given(st.data())
    def test_any_damage_is_reported_or_read(self, data: st.DataObject) -> None:
        message = bytearray((FILES / data.draw(st.sampled_from(MAILS))).read_bytes())
        for _ in range(data.draw(st.integers(1, 5))):
            at = data.draw(st.integers(0, len(message) - 1))
            message[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=8))
        assert all(isinstance(item, Article | UnreadableArticle) for item in items(bytes(message)))
