"""The requirements of an offer as the schema has them (protocol, section 5)."""

from rest_framework import serializers

from rako.core.wire import WireSerializer


class ConstraintsReply(WireSerializer):
    price = serializers.FloatField(help_text="Major units.")
    currency = serializers.CharField()
    available = serializers.BooleanField()
    contract_months = serializers.IntegerField(allow_null=True)
    session_hours = serializers.IntegerField()


class RequirementsReply(WireSerializer):
    offer_id = serializers.CharField()
    vertical = serializers.CharField()
    required_fields = serializers.ListField(
        child=serializers.CharField(), help_text="Collected on the merchant's pages, never by Rako."
    )
    confirmations = serializers.ListField(child=serializers.CharField(), help_text="For the agent to obtain.")
    eligibility = serializers.ListField(child=serializers.CharField())
    constraints = ConstraintsReply()
    next_step = serializers.CharField()
