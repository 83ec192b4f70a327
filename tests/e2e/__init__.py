"""Whole journeys: Samtal as it is really started, a real browser, a real network. `make e2e` runs them."""
