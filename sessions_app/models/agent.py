"""Builders, their agents, and the agents' keys."""

from typing import Any, Self

from django.db import models
from django.utils import timezone

from rako.core.api_keys import ApiKey, key_kind
from rako.core.ids import UlidField


class Builder(models.Model):
    """Who builds agents and earns the commissions."""

    id = UlidField(primary_key=True)
    name = models.CharField(max_length=120, unique=True)
    email = models.EmailField(blank=True)
    is_active = models.BooleanField(default=True)
    fraud_found_at = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="When staff last confirmed that a sale of theirs was fraud."
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Agent(models.Model):
    """A program that searches and recommends on people's behalf."""

    id = UlidField(primary_key=True)
    builder = models.ForeignKey(Builder, models.PROTECT, related_name="agents")
    name = models.CharField(max_length=120)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["builder", "name"], name="agent_named_once_per_builder")]

    def __str__(self) -> str:
        return f"{self.name} by {self.builder}"


@key_kind("agent")
class AgentKey(ApiKey):
    """An agent's API key."""

    agent = models.ForeignKey(Agent, models.PROTECT, related_name="keys")

    owner_lookup = """
        key.id, key.name, key.prefix, agent.id AS agent_id, agent.builder_id, agent.name AS agent_name
        FROM sessions_app_agentkey key
        JOIN sessions_app_agent agent ON agent.id = key.agent_id
        JOIN sessions_app_builder builder ON builder.id = agent.builder_id
        WHERE key.digest = %s AND agent.is_active AND builder.is_active
    """

    @classmethod
    def with_owner(cls, row: tuple[Any, ...]) -> Self:
        """The key with its agent."""
        key = cls.from_db("default", ["id", "name", "prefix", "agent_id"], row[:4])
        key.agent = Agent.from_db("default", ["id", "builder_id", "name"], row[3:])
        return key
