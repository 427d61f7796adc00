"""The report as one HTML file: no script, no request to anywhere, nothing foreign unescaped."""

import itertools
import re
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final

from intercom_async._version import __version__
from intercom_async.cli.report import words
from intercom_async.cli.report.chart import Picture
from intercom_async.cli.report.facts import Cause, Facts, Session
from intercom_async.cli.report.style import STYLE
from intercom_async.journal import Record

POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
"""What a browser may load and run: nothing but the style in the file."""

_UNIT: Final = re.compile(r" (s|min|h|d)\b")

_GOOD: Final = '<path d="M13 22.5l6.2 6.2L31 16.5"/>'
_OPEN: Final = '<path d="M22 12.5v12M22 30.5v.6"/>'


def text(value: object, most: int = 300) -> str:
    """Return text for the inside of an element or of a quoted attribute, wherever it is from."""
    return escape(words.printable(str(value), most=most))


def page(facts: Facts) -> str:
    """Return the whole file."""
    title = text(f"{Path(facts.path).name}: {words.verdict(facts)}")
    body = "\n".join(part for part in _sections(facts) if part)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _sections(facts: Facts) -> Iterator[str]:
    yield _header(facts)
    yield _tiles(facts)
    yield _outcomes(facts)
    yield _picture(facts)
    yield _causes(facts)
    yield _sessions(facts)
    yield (
        "<footer>Times are UTC. Requests, retries and refusals are counted when the pair that "
        "caused them was recorded, so the picture is true to a few seconds. "
        f"Made by intercom_async {text(__version__)}.</footer>"
    )


def _header(facts: Facts) -> str:
    last = facts.known_sessions[-1]
    origin = [
        ("journal", Path(facts.path).name),
        ("begun", words.day_and_time(facts.first[0].began)),
        ("last record", words.day_and_time(last.ended) if facts.tally.records else "none"),
        *words.facts_of_header(facts),
    ]
    told = "".join(f"<span>{text(key)} <b>{text(value)}</b></span>" for key, value in origin)
    kind, icon = ("mark good", _GOOD) if facts.complete else ("mark", _OPEN)
    return (
        f'<header><div class="{kind}"><svg viewBox="0 0 44 44" fill="none" stroke="currentColor" '
        f'stroke-width="3.4" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">'
        f"{icon}</svg></div><div><h1>{text(words.verdict(facts))}</h1>"
        f'<div class="origin">{told}</div></div></header>'
    )


def _tiles(facts: Facts) -> str:
    tally = facts.tally
    speed = "—" if facts.rate is None else words.rate(facts.rate)
    used = "quota unknown" if facts.utilisation is None else f"{facts.utilisation:.0%} of the quota"
    sessions = words.amount(facts.sessions, "session")
    tiles = (
        ("Pairs recorded", f"{facts.pairs:,}", f"{facts.settled:,} settled"),
        ("Pairs per second", speed, used),
        ("Time at work", words.span(facts.elapsed), f"in {sessions}"),
        ("Requests", f"{tally.requests:,}", "besides refusals"),
        ("Retries", f"{tally.retries:,}", "checks included"),
        ("Refused", f"{tally.refusals:,}", "by the rate limit"),
    )
    cells = "".join(
        f"<div><dt>{name}</dt><dd>{_with_units(value)}<small>{text(more)}</small></dd></div>"
        for name, value, more in tiles
    )
    return f'<dl class="tiles" style="margin:0">{cells}</dl>'


def _with_units(value: str) -> str:
    """Return a number or a duration in HTML, its units smaller."""
    return _UNIT.sub(r"<u>\1</u>", text(value))


# --- what became of the pairs ------------------------------------------------------------------


def _outcomes(facts: Facts) -> str:
    rows = [
        (outcome.value, words.name(outcome), count, words.ADVICE[outcome])
        for outcome, count in facts.outcomes.items()
        if count
    ]
    for count, name, advice in (
        (
            facts.unrecorded,
            "without a record",
            "at most; may have been sent; run it again, it checks",
        ),
        (facts.unsent or 0, "not sent", "certainly not sent yet; run it again"),
    ):
        if count:
            rows.append(("open", name, count, advice))
    whole = sum(count for _, _, count, _ in rows)
    bar = "".join(
        f'<i{_kind(kind)} style="flex-grow:{count};--c:var(--{kind})" title="{count:,} {name}"></i>'
        for kind, name, count, _ in rows
    )
    lines = "".join(
        f'<tr><td><span class="dot{" open" * (kind == "open")}" style="--c:var(--{kind})"></span>'
        f'{name}</td><td class="number">{count:,}</td>'
        f'<td class="number soft">{escape(words.share(count, whole))}</td>'
        f'<td class="soft">{advice}</td></tr>'
        for kind, name, count, advice in rows
    )
    table = f'<table class="outcomes">{lines}</table>' if rows else ""
    remarks = "".join(f"<li>{text(remark)}</li>" for remark in words.remarks(facts))
    return (
        "<section><h2>What became of the pairs</h2>"
        + (f'<div class="parts" role="presentation">{bar}</div>' if rows else "")
        + table
        + (f'<ul class="remarks">{remarks}</ul>' if remarks else "")
        + "</section>"
    )


def _kind(kind: str) -> str:
    return ' class="open"' if kind == "open" else ""


# --- over time ---------------------------------------------------------------------------------


def _picture(facts: Facts) -> str:
    picture = Picture(facts)
    if picture.axis.columns < 2:
        return ""
    keys = ['<span><i class="dot" style="--c:var(--requests)"></i>requests answered</span>']
    if facts.tally.refusals:
        keys.append('<span><i class="dot" style="--c:var(--refusals)"></i>refused with 429</span>')
    if facts.quota:
        told = f"quota, {facts.quota:,} in 10 s"
        dash = '<i class="dash"></i>' if picture.shows_quota else ""
        keys.append(f"<span>{dash}{told}{'' if dash else ' (far above the picture)'}</span>")
    if picture.beginnings():
        keys.append('<span><i class="dots"></i>a session begins</span>')
    keys.append(f"<span>one column is {words.span(picture.axis.width)}</span>")
    return (
        "<section><h2>Requests per second</h2>"
        f'<div class="key">{"".join(keys)}</div>{picture.html()}</section>'
    )


def _sessions(facts: Facts) -> str:
    if facts.sessions < 2:
        return ""
    rows = [_session(session) for session in facts.first]
    hidden = facts.sessions - len(facts.known_sessions)
    if hidden:
        rows.append(f'<tr><td></td><td colspan="6" class="soft">{hidden:,} more</td></tr>')
    rows.extend(_session(session) for session in facts.last)
    return (
        '<section class="long"><h2>Sessions</h2><div class="scroll"><table><thead><tr>'
        '<th>#</th><th>begun</th><th class="number">pause before</th>'
        '<th class="number">at work</th><th class="number">pairs</th>'
        '<th class="number">per second</th><th></th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _session(session: Session) -> str:
    worked, records = session.worked, session.tally.records
    cells = (
        "" if session.pause is None else words.span(session.pause),
        words.span(worked),
        f"{records:,}",
        words.rate(records / worked) if worked else "",
    )
    numbers = "".join(f'<td class="number">{cell}</td>' for cell in cells)
    return (
        f'<tr><td class="soft">{session.number}</td>'
        f'<td style="white-space:nowrap">{words.day_and_time(session.began)}</td>{numbers}'
        f'<td class="soft">{"another input" if session.new_input else ""}</td></tr>'
    )


# --- why ---------------------------------------------------------------------------------------


def _causes(facts: Facts) -> str:
    if not facts.causes:
        return ""
    causes = "".join(map(_cause, facts.causes))
    return f'<section class="long"><h2>What needs attention, and why</h2>{causes}</section>'


def _cause(cause: Cause) -> str:
    kind = cause.outcome.value
    pattern = f'<div class="pattern mono">{text(cause.pattern)}</div>' if cause.pattern else ""
    rows = "".join(itertools.chain.from_iterable(_example(r, cause) for r in cause.examples))
    examples = (
        '<div class="scroll"><table class="examples"><thead><tr><th class="ordinal">pair</th>'
        "<th>conversation</th><th>contact</th><th>request id</th></tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
        if rows
        else ""
    )
    return (
        f'<div class="cause"><h3><span class="tag" style="--c:var(--{kind})">{cause.count:,} '
        f"{words.name(cause.outcome)}</span><span>{text(words.reason(cause))}</span></h3>"
        f"{pattern}{examples}</div>"
    )


def _example(record: Record, cause: Cause) -> Iterator[str]:
    cells = (
        ("ordinal soft", "pair", f"{record.ordinal:,}"),
        ("mono", "conversation", record.conversation_id),
        ("mono", "contact", record.contact_id),
        ("mono", "request id", record.request_id or "none"),
    )
    columns = "".join(
        f'<td class="{kind}" data-name="{name}"><span>{text(value)}</span></td>'
        for kind, name, value in cells
    )
    yield f"<tr>{columns}</tr>"
    if record.message and (cause.pattern is None or record is cause.examples[0]):
        yield (
            f'<tr class="said"><td></td><td class="mono" colspan="3">{text(record.message)}</td>'
            "</tr>"
        )
