"""A report as JSON, for programs."""

from typing import Any

from intercom_async.cli.report.facts import Cause, Facts, Session
from intercom_async.journal import Record


def as_document(facts: Facts) -> dict[str, Any]:
    """Return the facts as a JSON object; times are Unix seconds."""
    return {
        "journal": facts.path,
        "complete": facts.complete,
        "pairs": facts.pairs,
        "settled": facts.settled,
        "outcomes": {outcome.value: count for outcome, count in facts.outcomes.items()},
        "inferred": facts.inferred,
        "unrecorded": facts.unrecorded,
        "reopened": facts.reopened,
        "unsent": facts.unsent,
        "input_ended": facts.input_ended,
        "requests": facts.tally.requests,
        "retries": facts.tally.retries,
        "refusals": facts.tally.refusals,
        "elapsed": round(facts.elapsed, 3),
        "rate": None if facts.rate is None else round(facts.rate, 3),
        "quota": facts.quota,
        "utilisation": None if facts.utilisation is None else round(facts.utilisation, 4),
        "sessions": {
            "count": facts.sessions,
            "known": [_session(session) for session in facts.known_sessions],
        },
        "causes": [_cause(cause) for cause in facts.causes],
        "timeline": {
            "seconds": facts.timeline.width,
            "undated": facts.undated,
            "buckets": [
                {
                    "at": at,
                    "records": bucket.records,
                    "settled": bucket.settled,
                    "requests": bucket.requests,
                    "retries": bucket.retries,
                    "refusals": bucket.refusals,
                    "quota": bucket.quota or None,
                }
                for at, bucket in facts.timeline
            ],
        },
    }


def _session(session: Session) -> dict[str, Any]:
    return {
        "number": session.number,
        "began": session.began,
        "ended": session.ended,
        "pause": session.pause,
        "new_input": session.new_input,
        "records": session.tally.records,
        "settled": session.tally.settled,
        "requests": session.tally.requests,
        "retries": session.tally.retries,
        "refusals": session.tally.refusals,
    }


def _cause(cause: Cause) -> dict[str, Any]:
    return {
        "outcome": cause.outcome.value,
        "error": cause.error,
        "status": cause.status,
        "code": cause.code,
        "pattern": cause.pattern,
        "pairs": cause.count,
        "examples": [_example(record) for record in cause.examples],
    }


def _example(record: Record) -> dict[str, Any]:
    return {
        "ordinal": record.ordinal,
        "conversation_id": record.conversation_id,
        "contact_id": record.contact_id,
        "request_id": record.request_id,
        "message": record.message,
    }
