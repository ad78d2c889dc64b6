from django.apps import AppConfig

# An endpoint that its owner did not disable may be the only one that would have been told of it.
_NOTICE = """CASE WHEN EXISTS (
    SELECT FROM notifications_endpoint
    WHERE {owner} AND state = 'disabled' AND disabled_because <> 'owner'
) THEN 'webhook-endpoint-disabled; see="/v1/webhook-endpoints"' END"""


class NotificationsConfig(AppConfig):
    name = "notifications"
    verbose_name = "Outgoing webhooks"

    def ready(self) -> None:
        from rako.core.api_keys import also_tell  # noqa: PLC0415 - needs the models

        also_tell("merchant", _NOTICE.format(owner="merchant_id = key.merchant_id"))
        also_tell("agent", _NOTICE.format(owner="builder_id = agent.builder_id"))
