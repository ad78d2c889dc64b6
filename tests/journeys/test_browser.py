"""A buyer in a real browser, without JavaScript, and staff who look at what came of it."""

import httpx
import pytest
from django.contrib.auth import get_user_model

from ledger.models import Conversion

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def checkout_url(service, agent_key):
    """The payment page of an offer that an agent has just recommended."""
    with httpx.Client(base_url=service, headers={"Authorization": f"Bearer {agent_key.secret}"}) as agent:
        found = agent.get("/v1/offers", params={"provider": "SMARTY", "data_gb_min": 30}).json()
        chosen = {"sessionId": found["sessionId"], "offerId": found["offers"][0]["id"]}
        recommended = agent.post("/v1/recommend", json=chosen).json()
        body = {"sessionId": found["sessionId"], "recommendationId": recommended["recommendationId"]}
        return agent.post("/v1/checkout", json=body).json()["checkoutUrl"]


@pytest.fixture
def page(browser):
    """A buyer's tab with JavaScript switched off."""
    return browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844}).new_page()


def pay(page, checkout_url, number):
    page.goto(checkout_url)
    page.get_by_label("Card number").fill(number)
    page.get_by_label("Expiry").fill("12 / 34")
    page.get_by_label("Security code").fill("123")
    page.get_by_role("button", name="Pay").click()


def test_the_page_says_who_sells_what_for_how_much(page, checkout_url):
    page.goto(checkout_url)

    text = page.inner_text("body")
    assert all(word in text for word in ("SMARTY", "30GB", "10.00", "no real money"))


def test_a_buyer_pays_and_staff_see_the_conversion_in_the_admin(page, browser, checkout_url, service, run_worker):
    get_user_model().objects.create_superuser("ada", "ada@rako.example", "a-long-password")
    pay(page, checkout_url, "4242 4242 4242 4242")
    landed = page.url
    run_worker()
    conversion = Conversion.objects.get()

    admin = browser.new_page(viewport={"width": 1280, "height": 900})
    admin.goto(f"{service}/admin/ledger/conversion/")
    admin.get_by_label("Username").fill("ada")
    admin.get_by_label("Password").fill("a-long-password")
    admin.get_by_role("button", name="Log in").click()

    assert landed.endswith("/done")
    assert conversion.pk in admin.locator("#result_list").inner_text()


def test_a_declined_card_may_be_followed_by_another(page, checkout_url, run_worker):
    pay(page, checkout_url, "4000 0000 0000 0002")
    declined = page.inner_text("body")
    pay(page, checkout_url, "4242 4242 4242 4242")
    run_worker()

    assert "declined" in declined
    assert Conversion.objects.count() == 1


def test_a_step_up_is_approved_on_a_page_of_its_own(page, checkout_url, run_worker):
    pay(page, checkout_url, "4000 0000 0000 3220")
    page.get_by_role("button", name="Approve").click()
    run_worker()

    assert Conversion.objects.count() == 1


def test_a_step_up_that_is_refused_converts_nothing(page, checkout_url, run_worker):
    pay(page, checkout_url, "4000 0000 0000 3220")
    page.get_by_role("button", name="Refuse").click()
    run_worker()

    assert Conversion.objects.count() == 0


def test_an_abandoned_page_stays_open_for_another_try(page, checkout_url):
    page.goto(checkout_url)
    page.get_by_role("link", name="Cancel").click()

    page.get_by_role("link", name="Back to the payment page").click()

    assert page.url == checkout_url


@pytest.mark.parametrize("width", [390, 1280])
def test_no_page_of_the_buyer_scrolls_sideways(browser, checkout_url, service, width):
    page = browser.new_page(viewport={"width": width, "height": 844})
    overflowing = []
    for address in (checkout_url, service + "/", service + "/docs"):
        page.goto(address)
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            overflowing.append(address)

    assert overflowing == []
