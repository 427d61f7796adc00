"""A token is hidden however JSON, URLs and HTML write it, at the cost of a look at most replies."""

import html
import json
import random
import re
import string
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from intercom_async.secret import Secret
from intercom_async.transport.hiding import HIDDEN, SHORTEST, Hiding

TOKEN = "dG9rOm1hcmtlZC/zZWNy+XQrKw=="


def escaped(code: str, which: str = "[^A-Za-z0-9]") -> Callable[[str], str]:
    """Write characters in a way that their code is put into: punctuation, or every one."""
    return lambda token: re.sub(which, lambda found: code.format(ord(found[0])), token)


def everything(code: str) -> Callable[[str], str]:
    return escaped(code, ".")


WAYS: dict[str, Callable[[str], str]] = {
    "as_it_is": str,
    "json": lambda token: json.dumps(token)[1:-1],
    "json_twice": lambda token: json.dumps(json.dumps(token)[1:-1])[1:-1],
    "json_of_php": lambda token: json.dumps(token)[1:-1].replace("/", r"\/"),
    "json_numbers": escaped(r"\u{:04x}"),
    "json_capital_numbers": escaped(r"\u{:04X}"),
    "json_numbers_in_json": escaped(r"\\u{:04x}"),
    "url": lambda token: quote(token, safe=""),
    "url_small": escaped("%{:02x}"),
    "url_of_a_form": quote_plus,
    "url_twice": lambda token: quote(quote(token, safe=""), safe=""),
    "url_three_times": lambda token: quote(quote(quote(token, safe=""), safe=""), safe=""),
    "url_in_html": lambda token: escaped("&#x{:x};")(quote(token, safe="")),
    "html_in_json_of_gson": lambda token: escaped("&#{};")(token).replace("&", r"\u0026"),
    "html_twice": lambda token: html.escape(escaped("&#{};")(token)),
    "html": html.escape,
    "html_decimal": escaped("&#{};"),
    "html_leading_zero": escaped("&#{:03};"),
    "html_leading_zeros": escaped("&#{:07};"),
    "html_hexadecimal": escaped("&#x{:x};"),
    "html_capital_hexadecimal": escaped("&#X{:X};"),
    "html_hexadecimal_leading_zero": escaped("&#x{:03X};"),
    "html_hexadecimal_leading_zeros": escaped("&#x{:06x};"),
    "html_very_many_zeros": escaped("&#" + "0" * 5000 + "{};"),
    "every_character_json": everything(r"\u{:04x}"),
    "every_character_json_capitals": everything(r"\u{:04X}"),
    "every_character_json_in_json": everything(r"\\u{:04x}"),
    "every_character_url": everything("%{:02x}"),
    "every_character_url_capitals": everything("%{:02X}"),
    "every_character_url_twice": everything("%25{:02X}"),
    "every_character_html": everything("&#{};"),
    "every_character_html_hexadecimal": everything("&#x{:x};"),
    "every_character_html_capitals": everything("&#X{:04X};"),
    "without_padding": lambda token: token.rstrip("="),
}


def tokens() -> list[str]:
    chance = random.Random(7)
    base64 = string.ascii_letters + string.digits + "+/-_.:~"
    return [
        TOKEN,
        f"/{TOKEN}",
        f"+={TOKEN}",
        TOKEN.rstrip("=") + "/",
        "tok_" + "0123456789abcdef" * 2,
        *("".join(chance.choices(base64, k=chance.randint(16, 60))) for _ in range(50)),
    ]


@pytest.mark.parametrize("way", WAYS)
def test_a_token_is_hidden_however_it_is_written(way: str) -> None:
    for token in tokens():
        hiding, written = Hiding(Secret(token)), WAYS[way](token)
        for before, after in (("", ""), ("Bearer ", "."), ('é{"a\\n": "', '", "ü€": "\\u00e9"}')):
            said = before + written + after
            hidden = before + HIDDEN + after if written == token else HIDDEN
            assert hiding.text(said) == hidden, token
            assert hiding.body(said.encode(), is_error=True) == hidden.encode(), token


@pytest.mark.parametrize(
    "way",
    [
        "as_it_is",
        "json_of_php",
        "url",
        "html_twice",
        "without_padding",
        "every_character_json",
        "every_character_json_capitals",
        "every_character_url",
        "every_character_url_capitals",
        "every_character_html",
        "every_character_html_hexadecimal",
    ],
)
def test_a_success_which_may_be_long_is_looked_at_only_where_it_seems_to_hold_one(way: str) -> None:
    said = b'{"id": "%b"}' % WAYS[way](TOKEN).encode()
    hidden = Hiding(Secret(TOKEN)).body(said, is_error=False)
    assert HIDDEN.encode() in hidden


def test_json_around_a_token_stays_json() -> None:
    hiding = Hiding(Secret(f"/{TOKEN}"))
    document = {"a": f'"/{TOKEN}"\n', f"/{TOKEN}": ["\\é%2B&#43;", 5, None, f"%2F{quote(TOKEN)}"]}
    for said in (json.dumps(document), json.dumps(document).replace("/", r"\/")):
        hidden = json.loads(hiding.body(said.encode(), is_error=True))
        assert hidden == {"a": f'"{HIDDEN}"\n', HIDDEN: ["\\é%2B&#43;", 5, None, HIDDEN]}


@pytest.mark.parametrize("before", ["%", "%25", "&#", "\\", "\\u00", "&"])
def test_what_is_before_a_token_hides_nothing_of_it(before: str) -> None:
    for token in ("2B43;7bdG9rOm1hcmtlZC", "u002bdG9rOm1hcmtlZC", "plus;dG9rOm1hcmtlZC"):
        assert "dG9rOm1" not in Hiding(Secret(token)).text(f"x{before}{token}")


@pytest.mark.parametrize("other", [TOKEN[:-4], TOKEN.replace("Z", "z"), TOKEN.swapcase()])
def test_what_is_another_token_stays(other: str) -> None:
    said = rf"\n{other}\u002b%2B&#43;"
    assert Hiding(Secret(TOKEN)).text(said) == said
    assert Hiding(Secret(TOKEN)).body(said.encode(), is_error=True) == said.encode()


@pytest.mark.parametrize("token", [string.punctuation, "=" * 16, "%25" * 8])
def test_a_token_of_punctuation_is_hidden_as_it_is_and_nothing_else_is(token: str) -> None:
    hiding = Hiding(Secret(token))
    assert hiding.text(f"<{token}>") == f"<{HIDDEN}>"
    assert hiding.text("100% & more") == "100% & more"


def test_a_token_that_is_a_common_word_stays() -> None:
    word = "a" * (SHORTEST - 1)
    assert Hiding(Secret(word)).text(f" {word} ") == f" {word} "
    assert Hiding(Secret(word + "a")).text(f" {word}a ") == f" {HIDDEN} "


def test_a_token_is_in_nothing_that_outlives_its_client() -> None:
    hiding = Hiding(Secret(TOKEN))
    assert hiding.text(TOKEN) == HIDDEN
    assert hiding.body(TOKEN.encode(), is_error=True) == HIDDEN.encode()
    kept = repr([getattr(re, name, None) for name in ("_cache", "_cache2")])
    assert "dG9rOm1hcmtlZC" not in kept


def test_clients_of_many_workspaces_cost_no_patterns(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError(args)

    with monkeypatch.context() as patched:  # pytest itself makes patterns of what fails
        patched.setattr(re, "_compile", refuse)
        for number in range(1000):
            hiding = Hiding(Secret(f"{TOKEN}{number}"))
            assert hiding.text("nothing") == "nothing"
            assert hiding.text(f"{TOKEN}{number}") == HIDDEN


@pytest.mark.parametrize(
    "run",
    ["\\", "\\u00", "%", "%25", "&", "&#", "&#0", "&#x", "0", "=", "\\/", "+", "&#00", "%2525"],
)
def test_long_runs_take_no_longer_than_their_length(run: str) -> None:
    for start in ("", "+/", "\\", "&"):
        token = start + TOKEN
        hiding = Hiding(Secret(token))
        for said in (run * 20_000 + token, "&#" + run * 20_000 + token, token + run * 20_000):
            began = time.process_time()
            assert TOKEN not in hiding.text(said)
            assert time.process_time() - began < 2  # minutes, if it were quadratic
