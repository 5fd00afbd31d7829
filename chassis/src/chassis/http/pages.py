"""Pages: server-rendered HTML in the reader's language, without script, under a policy that allows none."""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Final

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined

LANGUAGES: Final[Mapping[str, str]] = {"en": "ltr", "ar": "rtl"}
"""Languages of the pages and the direction each is written in; the first is for whoever asks for none of them."""
LANGUAGE_PARAMETER: Final = "lang"
STYLE_SHEET: Final = "/pages.css"
HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "Referrer-Policy": "same-origin",
    "Vary": "Accept-Language, Cookie",
}
"""`no-referrer` would have browsers send `Origin: null` with our own forms, and they would be refused."""
Texts = Mapping[str, str]
_environment = Environment(
    loader=PackageLoader("chassis.http"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
)


def language_of(request: Request) -> str:
    """Return the language of a page: the one chosen in the address, else the first of the browser's that we have."""
    chosen = request.query_params.get(LANGUAGE_PARAMETER)
    if chosen in LANGUAGES:
        return str(chosen)
    for wanted in request.headers.get("accept-language", "").split(","):
        language = wanted.partition(";")[0].strip().lower().partition("-")[0]
        if language in LANGUAGES:
            return language
    return next(iter(LANGUAGES))


@cache
def texts_of(language: str) -> Texts:
    """Return the catalogue of a language."""
    texts: Texts = json.loads((files("chassis.http") / "texts" / f"{language}.json").read_text(encoding="utf-8"))
    return texts


@cache
def style_sheet() -> str:
    """Return the style sheet of all pages."""
    return (files("chassis.http") / "templates" / "pages.css").read_text(encoding="utf-8")


def page(
    request: Request, template: str, *, status: int = 200, headers: Mapping[str, str] | None = None, values: Mapping[str, object]
) -> HTMLResponse:
    """Render a template in the reader's language; it finds its words in `t`."""
    language = language_of(request)
    given = {
        **values,
        "t": texts_of(language),
        "language": language,
        "direction": LANGUAGES[language],
        "languages": {other: texts_of(other)["language_name"] for other in LANGUAGES},
        "path": request.url.path if request.method == "GET" and not request.url.path.startswith("/sign-in") else "/account",
        "service": request.app.title,
        "style_sheet": STYLE_SHEET,
    }
    content = _environment.get_template(template).render(given)
    return HTMLResponse(content, status_code=status, headers={**HEADERS, **(headers or {})})


def message(
    request: Request, title: str, *, link: str, link_text: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> HTMLResponse:
    """Render a page that says one thing and offers one way on."""
    values = {"title": title, "text": f"{title}_text", "link": link, "link_text": link_text}
    return page(request, "message.html", status=status, headers=headers, values=values)
