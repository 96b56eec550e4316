"""The calibration of the demo's model, whose profile ships with lampe."""
