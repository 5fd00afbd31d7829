"""Settings of intake beyond those of every service."""

from pydantic import Field, SecretStr

from chassis.settings import ServiceSettings


class IntakeSettings(ServiceSettings):
    """What an intake process reads at start-up."""

    content_key: SecretStr | None = Field(default=None, min_length=32)
    """Secret of this installation (32 characters or more) that keys the marks of monitors and contents; the same in every process.
    Without it one is made, once, in the key folder: enough for one machine. Whoever loses it can no longer tell a repeat from a clash."""
    max_in_flight: int = Field(default=256, ge=1)
    """Requests answered at once; more get 429."""
    devices_per_monitor: int = Field(default=10, ge=1)
    """Field devices that one monitor may have at a time."""
