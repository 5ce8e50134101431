"""The laboratory's proxy: stands between MQTT clients and a broker, and does to the link what it is told to."""
