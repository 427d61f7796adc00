"""The headers of every request; `http` adds the token, and a body's type and length."""

import re
from collections.abc import Collection
from typing import Final

from intercom_async._version import __version__
from intercom_async.documents import is_object
from intercom_async.errors import InvalidArgumentError

_OLDEST_VERSIONS: Final = frozenset({"1.0", "1.1", "1.2", "1.3", "1.4"})
_NAMED_VERSIONS: Final = frozenset({"Preview", "Unstable"})
_DATED_VERSION: Final = r"2\.(0|[1-9][0-9]{0,2})"

_OF_HTTP: Final = frozenset(
    {
        *("authorization", "cookie", "host", "connection"),
        *("content-length", "content-type", "transfer-encoding"),
        "proxy-authorization",  # Intercom would get it, not the proxy: the tunnel hides it
    }
)
_HEADER_NAME: Final = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_HEADER_VALUE: Final = r"[\x20-\x7e]*"


def request_headers(
    *, version: object, user_agent_suffix: object, default_headers: object
) -> dict[str, str]:
    """Return the headers that a client sends with every request; see `IntercomClient`."""
    agent = f"intercom_async/{__version__}"
    if user_agent_suffix is not None:
        agent += f" {_check_suffix(user_agent_suffix)}"
    own = {
        "Accept-Encoding": "gzip, deflate",
        "Intercom-Version": _check_version(version),
        "User-Agent": agent,
    }
    given: dict[str, str] = {}
    if default_headers is not None:
        given = _check_headers(default_headers, {*map(str.lower, own), *_OF_HTTP})
    return {"Accept": "application/json", **own, **given}


def _check_version(version: object) -> str:
    if isinstance(version, str) and (
        version in _OLDEST_VERSIONS
        or version in _NAMED_VERSIONS
        or re.fullmatch(_DATED_VERSION, version)
    ):
        return version
    raise InvalidArgumentError(
        "version", version, 'a version such as "2.14", or "Preview" or "Unstable"'
    )


def _check_headers(headers: object, own: Collection[str]) -> dict[str, str]:
    """Return the caller's headers, none of the library's `own` (in lower case) among them.

    No error shows a value, which may be secret.
    """
    if not is_object(headers):
        raise InvalidArgumentError("default_headers", None, "a mapping of names to texts")
    checked: dict[str, str] = {}
    for name, value in headers.items():
        if not isinstance(name, str) or not re.fullmatch(_HEADER_NAME, name):
            raise InvalidArgumentError(
                "default_headers", name, "a mapping with names that a header can have"
            )
        expected = None
        if name.lower() in own:
            options = "token, version, user_agent_suffix, proxy"
            expected = f"without {name}, which the library sets (see {options})"
        elif not isinstance(value, str) or not re.fullmatch(_HEADER_VALUE, value):
            expected = f"a mapping to printable ASCII texts; that of {name} is none"
        if expected is not None:
            raise InvalidArgumentError("default_headers", None, expected)
        checked[name.title()] = value  # one spelling, so that none is sent twice
    return checked


def _check_suffix(suffix: object) -> str:
    if not isinstance(suffix, str) or not suffix.strip() or not re.fullmatch(_HEADER_VALUE, suffix):
        expected = 'printable ASCII such as "acme-sync/2.1"'
        raise InvalidArgumentError("user_agent_suffix", suffix, expected)
    return suffix.strip()
