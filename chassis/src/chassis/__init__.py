"""What every MRM service shares: delivery, storage, sealing, identity, telemetry."""
