"""Signing in for pages, and the life of a session, at an issuer unlike Keycloak."""

from support.browser import forms
from support.pages_issuer import PagesIssuer
from support.signing_in import Pages


async def test_somebody_signs_in_and_is_told_who_they_are(pages: Pages, pages_issuer: PagesIssuer) -> None:
    async with pages.browser() as browser:
        assert (await browser.get(f"{pages.origin}/account")).status_code == 200
        answer = await pages.signed_in(browser)
        assert browser.url == f"{pages.origin}/account"
        assert answer.status_code == 200
        told = (await pages.session(browser)).json()
        assert told["subject"] == "amina"
        assert told["roles"] == [{"situation": "XAA", "role": "monitor"}]
        assert [form.action for form in forms(answer)] == ["/sign-out?lang=en", "/sign-out/everywhere?lang=en"]
    print(answer.text)
