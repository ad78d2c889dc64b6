"""The published keys of the demo registry. They exist in sandbox mode only (rako.E007)."""

DEMO_AGENT_KEY = "aap_demo_key"  # the protocol's default client setting (section 5)
DEMO_MERCHANT_KEY = "aap_demo_merchant_key"
DEMO_KEYS = {"agent": DEMO_AGENT_KEY, "merchant": DEMO_MERCHANT_KEY}
DEMO_ADMIN = ("admin", "rako-demo-admin")
