"""A browser as far as signing in goes: cookies by the rules of the prefix and of Secure, redirects, forms, and what it says of origins."""

import html
import re
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

MAX_REDIRECTS = 12


@dataclass(frozen=True)
class Form:
    """A form of a page."""

    action: str
    method: str
    fields: dict[str, str]


class Browser:
    """One person's browser. `hosts` says where an origin really listens, as a proxy in front of it would."""

    def __init__(self, hosts: dict[str, str] | None = None) -> None:
        self.hosts = hosts or {}
        self.cookies: dict[tuple[str, str], str] = {}
        self.visited: list[str] = []
        self.url = ""
        self.client = httpx.AsyncClient(timeout=30, follow_redirects=False, trust_env=False)

    async def __aenter__(self) -> "Browser":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.aclose()

    async def get(self, url: str, *, follow: bool = True, **options: Any) -> httpx.Response:
        """Go to an address, as if it had been typed."""
        return await self.go("GET", url, follow=follow, **options)

    async def go(self, method: str, url: str, *, follow: bool = True, came_from: str | None = None, **options: Any) -> httpx.Response:
        """Send one request and follow where it leads."""
        for _ in range(MAX_REDIRECTS):
            answer = await self._once(method, url, came_from=came_from, **options)
            if not follow or not answer.is_redirect:
                return answer
            came_from = came_from or url
            url, method, options = urljoin(url, answer.headers["location"]), "GET", {}
        raise AssertionError("redirected without end")

    async def submit(self, answer: httpx.Response, *, which: int = 0, follow: bool = True, **fields: str) -> httpx.Response:
        """Fill in a form of the page just shown and send it."""
        form = forms(answer)[which]
        url = urljoin(self.url, form.action)
        return await self.go(form.method.upper(), url, follow=follow, came_from=self.url, data={**form.fields, **fields})

    def cookie(self, url: str, name: str) -> str | None:
        return self.cookies.get((urlsplit(url).hostname or "", name))

    async def _once(self, method: str, url: str, *, came_from: str | None, **options: Any) -> httpx.Response:
        self.visited.append(url)
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        site = "none" if came_from is None else "same-origin" if _origin(came_from) == origin else "cross-site"
        headers = {"Accept": "text/html", "Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate", **options.pop("headers", {})}
        mine = {name: value for (host, name), value in self.cookies.items() if host == parts.hostname}
        if mine:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in mine.items())
        if method != "GET" and came_from is not None:
            headers.setdefault("Origin", _origin(came_from))
        real = url.replace(origin, self.hosts.get(origin, origin), 1)
        headers["Host"] = parts.netloc
        answer = await self.client.request(method, real, headers=headers, **options)
        self.client.cookies.clear()
        self.url = url
        for line in answer.headers.get_list("set-cookie"):
            self._keep(line, host=parts.hostname or "", secure=parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost"))
        return answer

    def _keep(self, line: str, *, host: str, secure: bool) -> None:
        parsed: SimpleCookie = SimpleCookie()
        parsed.load(line)
        for name, morsel in parsed.items():
            if morsel["secure"] and not secure:
                continue
            if name.startswith("__Host-") and not (morsel["secure"] and morsel["path"] == "/" and not morsel["domain"]):
                continue
            if morsel["max-age"] == "0" or not morsel.value:
                self.cookies.pop((host, name), None)
            else:
                self.cookies[host, name] = morsel.value


def forms(answer: httpx.Response) -> list[Form]:
    """Return the forms of a page."""
    found = []
    for attributes, content in re.findall(r"<form([^>]*)>(.*?)</form>", answer.text, re.DOTALL | re.IGNORECASE):
        inputs = re.findall(r"<input([^>]*)>", content, re.DOTALL | re.IGNORECASE)
        fields = {name: _attribute(one, "value") for one in inputs if (name := _attribute(one, "name"))}
        found.append(Form(_attribute(attributes, "action"), _attribute(attributes, "method") or "get", fields))
    return found


def _attribute(text: str, name: str) -> str:
    found = re.search(rf"""\b{name}\s*=\s*(?:"([^"]*)"|'([^']*)')""", text, re.IGNORECASE)
    return html.unescape(found[1] if found[1] is not None else found[2]) if found else ""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
