"""What the scenarios stand on: real processes on loopback, a raw HTTP client, waits on conditions."""
