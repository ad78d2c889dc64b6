"""The fraud signals as a table: what each rule measures, and where it begins to find a sale suspicious."""

import pytest

from ledger.fraud_rules import PUBLIC_DOMAINS, RULES, Measures, Signal, signals


@pytest.mark.parametrize(
    ("measures", "found"),
    [
        ({}, []),
        # Velocity: against a floor, or against the agent's own past if it usually sells more.
        ({"in_hour": 20, "in_day": 50, "hours_of_day": 4}, []),
        ({"in_hour": 21, "in_day": 50, "hours_of_day": 4}, [("velocity_hour", 21, 20)]),
        ({"in_hour": 9, "in_day": 51, "hours_of_day": 8}, [("velocity_day", 51, 50)]),
        ({"in_hour": 90, "in_day": 150, "hours_of_day": 4, "usual_days": 28 * 30}, []),
        (
            {"in_hour": 91, "in_day": 151, "hours_of_day": 4, "usual_days": 28 * 30},
            [("velocity_hour", 91, 90), ("velocity_day", 151, 150)],
        ),
        # All of a day in one hour.
        ({"in_hour": 9, "in_day": 9, "hours_of_day": 1}, []),
        ({"in_hour": 10, "in_day": 10, "hours_of_day": 1}, [("one_hour", 10, 9)]),
        ({"in_hour": 9, "in_day": 10, "hours_of_day": 2}, []),
        # Self-dealing.
        ({"builder_email": "a@shop.example", "merchant_email": "B@Shop.Example "}, [("shared_owner", 1, 0)]),
        ({"builder_email": "a@gmail.com", "merchant_email": "A@gmail.com"}, [("shared_owner", 1, 0)]),
        ({"builder_email": "a@gmail.com", "merchant_email": "b@gmail.com"}, []),
        ({"builder_email": "a@builder.example", "merchant_email": "a@shop.example"}, []),
        ({"builder_email": "", "merchant_email": ""}, []),
        ({"builder_email": "a@shop.example", "merchant_hosts": ["www.shop.example"]}, [("shared_owner", 1, 0)]),
        ({"builder_email": "a@shop.example", "merchant_hosts": ["workshop.example"]}, []),
        ({"builder_email": "a@gmail.com", "merchant_hosts": ["gmail.com"]}, []),
        ({"builder_names": ["Acme, Ltd."], "merchant_names": ["Shop", "ACME Limited"]}, [("shared_owner", 1, 0)]),
        ({"builder_names": ["Jo Smith", ""], "merchant_names": ["Shop", ""]}, []),
        ({"builder_names": ["Ltd"], "merchant_names": ["Limited"]}, []),
        ({"payment_uses": 1}, []),
        ({"payment_uses": 2}, [("shared_payment", 2, 1)]),
        # Cancellations, from ten sales on.
        ({"sales_of_pair": 9, "clawed_back_of_pair": 9}, []),
        ({"sales_of_pair": 10, "clawed_back_of_pair": 4}, []),
        ({"sales_of_pair": 10, "clawed_back_of_pair": 5}, [("cancellations", 50, 40)]),
        # Clicks.
        ({"visits": 300, "visits_of_one": 20}, []),
        ({"visits": 301}, [("click_flood", 301, 300)]),
        ({"visits": 21, "visits_of_one": 21}, [("one_visitor", 21, 20)]),
    ],
)
def test_what_is_suspicious(measures, found):
    assert signals(Measures(**measures)) == [Signal(*each) for each in found]


def test_public_domains_are_spelled_as_they_are_compared():
    assert {domain for domain in PUBLIC_DOMAINS if domain != domain.strip().lower() or "." not in domain} == set()


def test_each_rule_is_told_of_in_the_documentation():
    from pathlib import Path

    told = (Path(__file__).resolve().parents[2] / "docs" / "disputes.md").read_text()

    assert [name for name in RULES if f"`{name}`" not in told] == []
