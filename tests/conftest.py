"""What every test may ask for: real servers, started once per test run and only when asked for."""

pytest_plugins = ["support.stack", "support.running"]
