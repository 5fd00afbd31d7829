"""The embedded stack: PostgreSQL, Kafka and Keycloak without containers."""
