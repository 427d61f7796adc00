"""A token is hidden however JSON, URLs and HTML write it, at the cost of a look at most replies."""

import html
import json
import random
import re
import string
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from intercom_async.secret import Secret
from intercom_async.transport.hiding import HIDDEN, SHORTEST, Hiding

TOKEN = "dG9rOm1hcmtlZC/zZWNy+XQrKw=="


def escaped(code: str) -> Callable[[str], str]:
    """Write punctuation in a way that its code is put into."""
    return lambda token: re.sub("[^A-Za-z0-9]", lambda found: code.format(ord(found[0])), token)


WAYS: dict[str, Callable[[str], str]] = {
    "as_it_is": str,
    "json_twice": lambda token: json.dumps(json.dumps(token)[1:-1])[1:-1],
    "json_of_php": lambda token: json.dumps(token)[1:-1].replace("/", r"\/"),
    "json_numbers": escaped(r"\u{:04x}"),
    "url": lambda token: quote(token, safe=""),
    "url_of_a_form": quote_plus,
    "url_twice": lambda token: quote(quote(token, safe=""), safe=""),
    "url_in_html": lambda token: escaped("&#x{:x};")(quote(token, safe="")),
    "html": html.escape,
    "html_in_json_of_gson": lambda token: escaped("&#{};")(token).replace("&", r"\u0026"),
    "html_very_many_zeros": escaped("&#" + "0" * 5000 + "{};"),
    "without_padding": lambda token: token.rstrip("="),
}


def tokens() -> list[str]:
    chance = random.Random(7)
    base64 = string.ascii_letters + string.digits + "+/"
    return [
        TOKEN,
        f"/{TOKEN}",
        "tok_" + "0123456789abcdef" * 2,
        *("".join(chance.choices(base64, k=60)) + "=" for _ in range(20)),
    ]


@pytest.mark.parametrize("way", WAYS)
def test_a_token_is_hidden_however_it_is_written(way: str) -> None:
    for token in tokens():
        hiding, written = Hiding(Secret(token)), WAYS[way](token)
        for before, after in (("", ""), ("Bearer ", "."), ('é{"a\\n": "', '", "ü€": "\\u00e9"}')):
            said = before + written + after
            hidden = before + HIDDEN + after if written == token else HIDDEN
            assert hiding.text(said) == hidden, token
            assert hiding.body(said.encode()) == hidden.encode(), token


def test_json_around_a_token_stays_json() -> None:
    hiding = Hiding(Secret(f"/{TOKEN}"))
    document = {"a": f'"/{TOKEN}"\n', f"/{TOKEN}": ["\\é%2B&#43;", 5, None, f"%2F{quote(TOKEN)}"]}
    for said in (json.dumps(document), json.dumps(document).replace("/", r"\/")):
        hidden = json.loads(hiding.body(said.encode()))
        assert hidden == {"a": f'"{HIDDEN}"\n', HIDDEN: ["\\é%2B&#43;", 5, None, HIDDEN]}


@pytest.mark.parametrize(
    ("token", "said"),
    [
        *((TOKEN, rf"\n{other}\u002b%2B") for other in (TOKEN[:-8], TOKEN.swapcase())),
        # A token without a longer word is hidden as it is, and nothing else is.
        *((token, "100% & a few") for token in (string.punctuation, "=" * 16, "a-" * 8)),
        ("a" * (SHORTEST - 1), "a" * SHORTEST),  # a common word
    ],
)
def test_what_is_another_token_or_chance_stays(token: str, said: str) -> None:
    hiding = Hiding(Secret(token))
    assert hiding.text(said) == said
    assert hiding.body(said.encode()) == said.encode()
    if len(token) >= SHORTEST:
        assert hiding.text(f"<{token}>") == f"<{HIDDEN}>"


def test_a_token_is_in_nothing_that_outlives_its_client() -> None:
    hiding = Hiding(Secret(TOKEN))
    assert hiding.text(TOKEN) == HIDDEN
    assert hiding.body(TOKEN.encode()) == HIDDEN.encode()
    kept = repr([getattr(re, name, None) for name in ("_cache", "_cache2")])
    assert "dG9rOm1hcmtlZC" not in kept
