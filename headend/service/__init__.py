"""Use cases and loops on ports. Knows neither MQTT nor the wire contract nor SQL."""
