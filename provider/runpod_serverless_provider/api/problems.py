"""Error answers of the API, read once into ApiProblem, and the cleaning of any text that came from outside."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

from ..core.failures import ApiProblem
from ..core.ports import Method

PLACEHOLDER: Final = "[secret]"
_LONGEST_TEXT: Final = 1000
_LONGEST_FOREIGN_TEXT: Final = 200
_MOST_ERRORS: Final = 20
_SHORTEST_KEY: Final = 4
_REQUEST_ID_HEADERS: Final = ("x-request-id", "cf-ray")


def clean(text: str, api_key: str, longest: int = _LONGEST_TEXT) -> str:
    """Return `text` on one line, without the key, without control characters, and cut to `longest` characters."""
    if len(api_key) >= _SHORTEST_KEY:  # a shorter one is no real key, and to replace it would leave nothing to read
        for form in {api_key, json.dumps(api_key)[1:-1], quote(api_key, safe="")}:
            text = text.replace(form, PLACEHOLDER)
    text = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return text if len(text) <= longest else text[: longest - 1] + "…"


def parse_problem(method: Method, path: str, status: int, headers: Mapping[str, str], content: bytes, api_key: str) -> ApiProblem:
    """Read an error answer: problem+json (`title`, `detail`, `errors`), other JSON, HTML, plain text, or nothing at all."""
    problem = ApiProblem(method=method, path=clean(path, api_key), status=status, title=_phrase(status))
    for name in _REQUEST_ID_HEADERS:
        if headers.get(name):
            problem.request_id = clean(headers[name], api_key, _LONGEST_FOREIGN_TEXT)
            break
    text = content[: 64 * 1024].decode("utf-8", errors="replace")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        problem.detail = clean(_without_markup(text), api_key, _LONGEST_FOREIGN_TEXT)
        return problem
    if not isinstance(said, dict):
        problem.detail = clean(said, api_key) if isinstance(said, str) else ""
        return problem
    problem.title = clean(_text(said, "title"), api_key) or problem.title
    problem.detail = clean(_text(said, "detail", "message", "error"), api_key)
    errors = said.get("errors")
    texts = (_error_text(error) for error in errors) if isinstance(errors, list) else ()
    problem.errors = tuple(cleaned for cleaned in (clean(each, api_key) for each in texts) if cleaned)[:_MOST_ERRORS]
    return problem


def _text(said: Mapping[str, Any], *names: str) -> str:
    return next((said[name] for name in names if isinstance(said.get(name), str) and said[name].strip()), "")


def _error_text(error: Any) -> str:
    if isinstance(error, str):
        return error
    if isinstance(error, dict):
        place, said = _text(error, "location", "path", "field"), _text(error, "message", "detail", "reason")
        return ": ".join(part for part in (place, said) if part)
    return ""


def _without_markup(text: str) -> str:
    if "<" not in text:
        return text
    title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
    if title and title[1].strip():
        return title[1]
    text = re.sub(r"<(script|style)\b.*?(</\1\s*>|$)", " ", text, flags=re.IGNORECASE | re.DOTALL)
    return re.sub(r"<[^>]*>?", " ", text)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
