import json

from openapi import SNAPSHOT, described


def test_the_interface_is_the_one_agreed_to() -> None:
    """Clients are written after it: a change is to be meant, seen in the commit and told in the changelog."""
    assert described() == json.loads(SNAPSHOT.read_text(encoding="utf-8")), "if this is meant, run: make openapi"
