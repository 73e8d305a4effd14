"""Refusals in the API's own form, `application/problem+json`."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.responses import JSONResponse, Response


def title_of(status: int) -> str:
    """Return the API's title for a status."""
    if status == 422:
        return "Unprocessable Entity"  # Python 3.13 renamed the phrase
    return HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Error"


class Problem(Exception):
    """A request that the API refuses."""

    def __init__(
        self, status: int, detail: str, errors: Sequence[str] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers

    def response(self) -> Response:
        """Build the response that carries this problem."""
        content: dict[str, object] = {"title": title_of(self.status), "status": self.status, "detail": self.detail}
        if self.errors:
            content["errors"] = list(self.errors)
        return JSONResponse(content, self.status, headers=self.headers, media_type="application/problem+json")


def bad_request(detail: str) -> Problem:
    """Refuse what breaks a rule that the document states in prose."""
    return Problem(400, detail)


def not_found(what: str) -> Problem:
    """Refuse what addresses a resource that does not exist, or is not the caller's."""
    return Problem(404, f"{what} not found")


def unprocessable(*errors: str) -> Problem:
    """Refuse what does not have the documented shape."""
    return Problem(422, "Request validation failed.", errors)
