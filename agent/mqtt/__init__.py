"""What the agent says and hears over MQTT. Recording never waits for any of it."""
