"""Aggregation's HTTP API: tables with their contributors, changes, snapshots, rebuild."""
