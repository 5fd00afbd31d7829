"""How Alembic runs the revisions of any service: on the connection that `chassis.migrations` has opened and locked."""

from alembic import context

connection = context.config.attributes["connection"]
table = context.config.attributes["version_table"]
applied = context.config.attributes["on_version_apply"]
context.configure(connection=connection, version_table=table, transaction_per_migration=True, on_version_apply=applied)
with context.begin_transaction():
    context.run_migrations()
role = context.config.attributes["app_role"]
connection.exec_driver_sql(f'revoke all on "{table}" from "{role}"')
connection.exec_driver_sql(f'grant select on "{table}" to "{role}"')
connection.commit()
