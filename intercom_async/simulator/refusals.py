"""The errors that Intercom documents, word for word, one member each.

Members below the first comment have documented codes, and wording of our own.
"""

import enum


class Refusal(enum.Enum):
    """An error of the API: HTTP status, code and message of its `error.list`."""

    ACCESS_TOKEN_INVALID = (401, "unauthorized", "Access Token Invalid")
    PLAN_RESTRICTED = (403, "api_plan_restricted", "Active subscription needed.")
    RESOURCE_NOT_FOUND = (404, "not_found", "Resource Not Found")
    USER_NOT_FOUND = (404, "not_found", "User Not Found")
    CONTACT_MERGED = (410, "contact_merged", "Contact has been merged")
    ADMIN_NOT_FOUND = (404, "admin_not_found", "Admin not found")
    LAST_CUSTOMER = (422, "parameter_invalid", "Removing the last customer is not allowed")
    VERSION_UNKNOWN = (
        400,
        "intercom_version_invalid",
        "The requested version could not be found",
    )

    # What a conversation call answers to an unknown `admin_id` is undocumented: this is the
    # answer of other calls that name an admin.
    ACTING_ADMIN_NOT_FOUND = (404, "admin_not_found", "Admin for admin_id not found")
    ADMIN_ID_MISSING = (400, "parameter_not_found", "admin_id is missing")
    CUSTOMER_MISSING = (400, "parameter_not_found", "customer needs an intercom_user_id")
    MALFORMED_JSON = (400, "parameter_invalid", "The request body is not a JSON object")
    NOT_JSON = (400, "bad_request", "The Content-Type of a request body is application/json")
    PER_PAGE_INVALID = (400, "invalid_per_page", "per_page is a number from 1 to 150")
    CURSOR_INVALID = (400, "parameter_invalid", "starting_after is not a cursor of this list")
    QUERY_UNSUPPORTED = (
        400,
        "parameter_invalid",
        "Only contact_ids (conversations), id, email and external_id (contacts), by = or IN",
    )
    # The status is documented for such an Accept header, a code is not.
    NOT_ACCEPTABLE = (406, "not_acceptable", "The Accept header must allow application/json")

    def __init__(self, status: int, code: str, message: str) -> None:
        self.status = status
        self.code = code
        self.message = message


class RefusedError(Exception):
    """A request that the workspace refuses; nothing was changed.

    `link` is the Link header beside the refusal, or None.
    """

    def __init__(self, refusal: Refusal, link: str | None = None) -> None:
        self.refusal = refusal
        self.link = link
        super().__init__(f"{refusal.status} {refusal.code}: {refusal.message}")
